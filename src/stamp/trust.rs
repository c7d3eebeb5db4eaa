//! Whose signature is believed: the certificate that a person has given, and what it vouches for.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use p384::ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier as _};
use rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm,
    TrustAnchor, UnixTime, alg_id, pem::PemObject as _,
};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert, ring};
use x509_cert::{Certificate, der::Decode as _, ext::pkix::ExtendedKeyUsage};

use crate::period::UtcMs;

/// id-kp-timeStamping, as a name and as its octets.
const TIME_STAMPING: der::asn1::ObjectIdentifier =
    der::asn1::ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
const TIME_STAMPING_OCTETS: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];

/// Certificates that an authority has; a file has two or three.
const CERTIFICATES_MAX: usize = 100;

/// Why a file holds no authority that can be trusted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotTrusted {
    /// Nothing in it is one.
    #[error("it holds no certificate (-----BEGIN CERTIFICATE-----)")]
    None,
    /// One of them cannot be read.
    #[error("certificate {0} in it cannot be read: {1}")]
    Unreadable(usize, String),
    /// All are signed by an issuer that is not in it.
    #[error("it holds no root certificate, which is one that is signed by itself")]
    NoRoot,
}

/// Why a certificate does not vouch for a token.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotVouched {
    /// It cannot be read.
    #[error("its signer's certificate cannot be read: {0}")]
    Unreadable(String),
    /// It may not be used for this.
    #[error("its signer's certificate is not one for time-stamping only (extendedKeyUsage)")]
    Usage,
    /// It was not valid at that time, or no trusted issuer vouches for it.
    #[error("its signer's certificate does not hold at the token's time: {0}")]
    Chain(String),
}

/// The certificates of an authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    certificates: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// From a file of certificates in PEM. Whatever else is in the file is not kept.
    pub fn from_pem(pem: &[u8]) -> Result<Self, NotTrusted> {
        let mut certificates = Vec::new();
        for (number, found) in (1..).zip(CertificateDer::pem_slice_iter(pem)) {
            let unreadable = |why: String| NotTrusted::Unreadable(number, why);
            let found = found.map_err(|why| unreadable(why.to_string()))?;
            Certificate::from_der(&found).map_err(|why| unreadable(why.to_string()))?;
            if CERTIFICATES_MAX < number {
                return Err(unreadable("there are too many".to_owned()));
            }
            certificates.push(found);
        }
        let trust = Self { certificates };
        if trust.certificates.is_empty() {
            return Err(NotTrusted::None);
        }
        if trust.roots().next().is_none() {
            return Err(NotTrusted::NoRoot);
        }
        Ok(trust)
    }

    /// The one form in which it is kept.
    pub fn to_pem(&self) -> String {
        const WIDTH: usize = 64;
        let mut text = String::new();
        for certificate in &self.certificates {
            text += "-----BEGIN CERTIFICATE-----\n";
            let mut rest = BASE64_STANDARD.encode(certificate);
            while !rest.is_empty() {
                let tail = rest.split_off(WIDTH.min(rest.len()));
                text.extend([&rest, "\n"]);
                rest = tail;
            }
            text += "-----END CERTIFICATE-----\n";
        }
        text
    }

    /// SHA-256 of each root, as authorities publish it.
    pub fn fingerprints(&self) -> Vec<String> {
        let of = |root: &CertificateDer<'_>| {
            let octets = Sha256::digest(root);
            let octets = octets.iter().map(|octet| format!("{octet:02X}"));
            octets.collect::<Vec<String>>().join(":")
        };
        self.roots().map(of).collect()
    }

    /// Those that are signed by themselves; only they end a chain.
    fn roots(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.certificates.iter().filter(|bytes| {
            let parsed = Certificate::from_der(bytes);
            parsed.is_ok_and(|of| {
                let of = of.tbs_certificate();
                of.issuer() == of.subject()
            })
        })
    }

    /// Whether a signer may stamp, and at that time a root of ours vouches for it, over certificates of
    /// ours or `others`.
    pub(super) fn vouches(
        &self,
        signer: &[u8],
        others: &[&[u8]],
        at: UtcMs,
    ) -> Result<(), NotVouched> {
        let unreadable = |why: String| NotVouched::Unreadable(why);
        let parsed = Certificate::from_der(signer).map_err(|why| unreadable(why.to_string()))?;
        let usage = parsed.tbs_certificate().get_extension::<ExtendedKeyUsage>();
        match usage.map_err(|why| unreadable(why.to_string()))? {
            Some((true, usage)) if usage.0 == [TIME_STAMPING] => (),
            _ => return Err(NotVouched::Usage),
        }
        let signer = CertificateDer::from(signer);
        let signer = EndEntityCert::try_from(&signer).map_err(|why| unreadable(why.to_string()))?;
        let chain = |why: webpki::Error| NotVouched::Chain(in_words(&why));
        let anchor = |root| anchor_from_trusted_cert(root).map(|anchor| anchor.to_owned());
        let anchors: Result<Vec<TrustAnchor<'static>>, webpki::Error> =
            self.roots().map(anchor).collect();
        let between: Vec<CertificateDer<'_>> = others
            .iter()
            .map(|other| CertificateDer::from(*other))
            .chain(self.certificates.iter().cloned())
            .collect();
        let seconds = u64::try_from(at.0.div_euclid(1_000)).unwrap_or(0);
        let at = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let algorithms = ALGORITHMS.map(|(.., algorithm)| algorithm);
        signer
            .verify_for_usage(
                &algorithms,
                &anchors.map_err(chain)?,
                &between,
                at,
                KeyUsage::required_if_present(TIME_STAMPING_OCTETS),
                None,
                None,
            )
            .map(drop)
            .map_err(chain)
    }
}

fn in_words(why: &webpki::Error) -> String {
    match why {
        webpki::Error::CertExpired { .. } => "it has expired".to_owned(),
        webpki::Error::CertNotValidYet { .. } => "it is not valid yet".to_owned(),
        webpki::Error::UnknownIssuer => {
            "no root certificate of the authority vouches for it".to_owned()
        }
        other => other.to_string(),
    }
}

/// Whether a signature is that of a certificate.
pub(super) fn is_signed(
    by: &[u8],
    (scheme, digest): (Scheme, Digest),
    message: &[u8],
    signature: &[u8],
) -> bool {
    let by = CertificateDer::from(by);
    let fits = ALGORITHMS
        .iter()
        .filter(|(of, by, _)| (*of, *by) == (scheme, digest));
    EndEntityCert::try_from(&by).is_ok_and(|by| {
        let mut each = fits.map(|(.., algorithm)| *algorithm);
        each.any(|algorithm| by.verify_signature(algorithm, message, signature).is_ok())
    })
}

/// How is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Rsa,
    Ecdsa,
}

/// What is signed of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digest {
    Sha256,
    Sha384,
    Sha512,
}

impl Digest {
    /// The digest of a text.
    pub(super) fn of(self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(text).to_vec(),
            Self::Sha384 => Sha384::digest(text).to_vec(),
            Self::Sha512 => Sha512::digest(text).to_vec(),
        }
    }
}

/// The signatures that hold: by which key, and over which digest.
static ALGORITHMS: [(Scheme, Digest, &dyn SignatureVerificationAlgorithm); 8] = [
    (
        Scheme::Rsa,
        Digest::Sha256,
        ring::RSA_PKCS1_2048_8192_SHA256,
    ),
    (
        Scheme::Rsa,
        Digest::Sha384,
        ring::RSA_PKCS1_2048_8192_SHA384,
    ),
    (
        Scheme::Rsa,
        Digest::Sha512,
        ring::RSA_PKCS1_2048_8192_SHA512,
    ),
    (Scheme::Ecdsa, Digest::Sha256, ring::ECDSA_P256_SHA256),
    (Scheme::Ecdsa, Digest::Sha384, ring::ECDSA_P256_SHA384),
    (Scheme::Ecdsa, Digest::Sha256, ring::ECDSA_P384_SHA256),
    (Scheme::Ecdsa, Digest::Sha384, ring::ECDSA_P384_SHA384),
    (Scheme::Ecdsa, Digest::Sha512, &P384Sha512),
];

/// ECDSA with P-384 and SHA-512.
#[derive(Debug)]
struct P384Sha512;

impl SignatureVerificationAlgorithm for P384Sha512 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let is_it = || {
            let key = VerifyingKey::from_sec1_bytes(public_key).ok()?;
            let signature = Signature::from_der(signature).ok()?;
            key.verify_prehash(&Sha512::digest(message), &signature)
                .ok()
        };
        is_it().ok_or(InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P384
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA512
    }
}
