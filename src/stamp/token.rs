//! What the authority answered: a TimeStampResp, and in it a token, which is a TSTInfo that is signed.
//!
//! An answer is hostile until it is checked. A token from here was signed by a certificate for time-stamping for
//! which a trusted root vouched at the token's time. The caller checks whether it has the right hash, and answers
//! this request.

use der::{Tag, asn1::ObjectIdentifier};
use sha1::Sha1;
use sha2::Digest as _;
use x509_cert::{
    Certificate,
    der::{Decode as _, Encode as _},
    ext::pkix::SubjectKeyIdentifier,
};

use super::{
    element::{Element, Elements, all},
    request::{Hash, Nonce},
    trust::{Digest, NotVouched, Scheme, Trust, is_signed},
};
use crate::{period::UtcMs, text::one_line};

/// An answer has some kilobytes: a token and a few certificates.
pub const ANSWER_BYTES_MAX: u64 = 256 << 10;

/// What an authority says of its status is not longer.
const WORDS_MAX: usize = 200;

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNER_V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
const SIGNER_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

/// Algorithms of signatures: a digest of its own, or that which the signer names.
const SIGNATURES: [(&str, Scheme, Option<Digest>); 8] = [
    ("1.2.840.113549.1.1.1", Scheme::Rsa, None),
    ("1.2.840.113549.1.1.11", Scheme::Rsa, Some(Digest::Sha256)),
    ("1.2.840.113549.1.1.12", Scheme::Rsa, Some(Digest::Sha384)),
    ("1.2.840.113549.1.1.13", Scheme::Rsa, Some(Digest::Sha512)),
    ("1.2.840.10045.2.1", Scheme::Ecdsa, None),
    ("1.2.840.10045.4.3.2", Scheme::Ecdsa, Some(Digest::Sha256)),
    ("1.2.840.10045.4.3.3", Scheme::Ecdsa, Some(Digest::Sha384)),
    ("1.2.840.10045.4.3.4", Scheme::Ecdsa, Some(Digest::Sha512)),
];

/// Why an answer is no token that holds.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoToken {
    /// It is not what RFC 3161 says, or more than is read here.
    #[error("it is not an answer of a time-stamping authority: {0}")]
    Form(String),
    /// The authority says that it will not.
    #[error("the authority has not stamped it: {0}")]
    Rejected(String),
    /// It stamps something else.
    #[error("it stamps another hash than the one that was sent")]
    OtherHash,
    /// It answers another request.
    #[error("it has another nonce than the one that was sent: it answers another request")]
    OtherNonce,
    /// The signature does not hold.
    #[error("its signature does not hold: {0}")]
    Signature(&'static str),
    /// Nobody vouches for the signer.
    #[error(transparent)]
    NotVouched(#[from] NotVouched),
}

impl From<der::Error> for NoToken {
    fn from(why: der::Error) -> Self {
        Self::Form(why.to_string())
    }
}

/// A token that was signed by an authority that is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// When it was stamped.
    pub time: UtcMs,
    /// Who says so: the subject of the signer's certificate.
    pub authority: String,
    hash: Option<Hash>,
    nonce: Option<Vec<u8>>,
}

impl Token {
    /// Reads an answer whole, and checks all of it that does not depend on the request.
    pub fn open(answer: &[u8], trust: &Trust) -> Result<Self, NoToken> {
        let message = Signed::of(granted(answer)?)?;
        let signer = message.signer()?;
        let (time, hash, nonce) = tst_info(message.content)?;
        trust.vouches(signer, &message.certificates, time)?;
        Ok(Self {
            time,
            authority: subject(signer)?,
            hash,
            nonce,
        })
    }

    /// Whether it stamps this hash.
    pub fn check_hash(&self, hash: &Hash) -> Result<(), NoToken> {
        if self.hash.as_ref() == Some(hash) {
            Ok(())
        } else {
            Err(NoToken::OtherHash)
        }
    }

    /// Whether it answers the request with this nonce.
    pub fn check_nonce(&self, nonce: Nonce) -> Result<(), NoToken> {
        if self.nonce.as_deref() == Some(nonce.octets()) {
            Ok(())
        } else {
            Err(NoToken::OtherNonce)
        }
    }
}

fn form(what: &str) -> NoToken {
    NoToken::Form(what.to_owned())
}

/// The token in an answer, if the authority has granted it.
fn granted(answer: &[u8]) -> Result<Element<'_>, NoToken> {
    let mut outer = all(answer)?;
    let mut parts = outer.tagged(Tag::Sequence)?.inner()?;
    if outer.next().is_some() {
        return Err(form("something follows it"));
    }
    let mut status = parts.tagged(Tag::Sequence)?.inner()?;
    let number = status.tagged(Tag::Integer)?.value;
    if !matches!(number, [0 | 1]) {
        return Err(NoToken::Rejected(reason(number, status)));
    }
    let token = parts.next();
    token.ok_or_else(|| form("it is granted, but has no token"))
}

/// Why it was not granted, in the authority's words and numbers.
fn reason(number: &[u8], status: Elements<'_>) -> String {
    const FAILURES: [(usize, &str); 8] = [
        (0, "unrecognized or unsupported algorithm"),
        (2, "transaction not permitted or supported"),
        (5, "the data submitted has the wrong format"),
        (14, "the time source is not available"),
        (15, "the requested policy is not supported"),
        (16, "the requested extension is not supported"),
        (
            17,
            "the additional information is not understood or not available",
        ),
        (25, "system failure"),
    ];
    let mut told = match number {
        [2] => vec!["rejection".to_owned()],
        [3] => vec!["waiting".to_owned()],
        [4] => vec!["revocation warning".to_owned()],
        [5] => vec!["revocation notification".to_owned()],
        _ => vec!["an unknown status".to_owned()],
    };
    for part in status {
        if part.tag == Tag::Sequence {
            let texts = part.inner().into_iter().flatten();
            told.extend(texts.map(|text| String::from_utf8_lossy(text.value).into_owned()));
        } else if let (Tag::BitString, [_unused, bits @ ..]) = (part.tag, part.value) {
            let is_set = |bit: usize| {
                bits.get(bit / 8)
                    .is_some_and(|b| b & (0x80 >> (bit % 8)) != 0)
            };
            let set = FAILURES.iter().filter(|(bit, _)| is_set(*bit));
            told.extend(set.map(|(_, word)| (*word).to_owned()));
        }
    }
    one_line(&told.join(": ")).chars().take(WORDS_MAX).collect()
}

/// A CMS SignedData with one signer.
struct Signed<'a> {
    content: &'a [u8],
    certificates: Vec<&'a [u8]>,
    signer: Element<'a>,
}

impl<'a> Signed<'a> {
    fn of(token: Element<'a>) -> Result<Self, NoToken> {
        let mut info = token.inner()?;
        if info.one()?.oid()? != SIGNED_DATA {
            return Err(form("the token is not signed data"));
        }
        let mut data = info.one()?.inner()?.tagged(Tag::Sequence)?.inner()?;
        data.tagged(Tag::Integer)?;
        data.tagged(Tag::Set)?;
        let mut content = data.tagged(Tag::Sequence)?.inner()?;
        if content.one()?.oid()? != TST_INFO {
            return Err(form("what is signed is not a time stamp"));
        }
        let content = content.one()?.inner()?.tagged(Tag::OctetString)?.value;
        let certificates = data.member(0).map(Element::inner).transpose()?;
        let certificates = certificates.into_iter().flatten();
        let certificates = certificates.filter(|one| one.tag == Tag::Sequence);
        let certificates = certificates.map(|one| one.whole).collect();
        data.member(1);
        let mut signers = data.tagged(Tag::Set)?.inner()?;
        let signer = signers.one()?;
        if signers.next().is_some() {
            return Err(form("it has more than one signer"));
        }
        Ok(Self {
            content,
            certificates,
            signer,
        })
    }

    /// The certificate of the signer, if the signature holds.
    fn signer(&self) -> Result<&'a [u8], NoToken> {
        let mut parts = self.signer.inner()?;
        parts.tagged(Tag::Integer)?;
        let id = parts.one()?;
        let digest = digest(parts.one()?)?;
        let attributes = parts.member(0);
        let attributes = attributes.ok_or_else(|| form("nothing says what was signed"))?;
        let scheme = scheme(parts.one()?, digest)?;
        let signature = parts.tagged(Tag::OctetString)?.value;
        if attribute(attributes, CONTENT_TYPE)?.oid()? != TST_INFO {
            return Err(form("what was signed is not a time stamp"));
        }
        if attribute(attributes, MESSAGE_DIGEST)?.value != digest.of(self.content) {
            return Err(NoToken::Signature("what was signed is another time stamp"));
        }
        let mut all = self.certificates.iter();
        let signer = all.find(|certificate| is_of(certificate, id));
        let signer = *signer.ok_or_else(|| form("the signer's certificate is not in it"))?;
        if !is_named(attributes, signer)? {
            return Err(NoToken::Signature(
                "it names another certificate than its signer's",
            ));
        }
        // they are signed as the set that they are, and not as the member that they stand for
        let mut message = attributes.whole.to_vec();
        if let Some(first) = message.first_mut() {
            *first = 0x31;
        }
        if is_signed(signer, scheme, &message, signature) {
            Ok(signer)
        } else {
            Err(NoToken::Signature(
                "it was not made with its signer's certificate, or is of an unknown kind",
            ))
        }
    }
}

/// The value of a signed attribute.
fn attribute(attributes: Element<'_>, name: ObjectIdentifier) -> Result<Element<'_>, NoToken> {
    let mut found = None;
    for one in attributes.inner()? {
        let mut parts = one.inner()?;
        if parts.one()?.oid()? == name {
            let value = parts.tagged(Tag::Set)?.inner()?.one()?;
            if found.replace(value).is_some() {
                return Err(form("an attribute occurs twice"));
            }
        }
    }
    found.ok_or_else(|| form("an attribute is missing"))
}

/// Whether a certificate is the one that a signer's id names: by issuer and number, or by its key.
fn is_of(certificate: &[u8], id: Element<'_>) -> bool {
    let Ok(certificate) = Certificate::from_der(certificate) else {
        return false;
    };
    let of = certificate.tbs_certificate();
    if id.tag != Tag::Sequence {
        let key = of.get_extension::<SubjectKeyIdentifier>();
        return key.is_ok_and(|key| key.is_some_and(|(_, key)| key.0.as_bytes() == id.value));
    }
    let is_it = || -> Result<bool, NoToken> {
        let mut parts = id.inner()?;
        let issuer = parts.one()?.whole == of.issuer().to_der()?;
        Ok(issuer && parts.one()?.whole == of.serial_number().to_der()?)
    };
    is_it().unwrap_or(false)
}

/// Whether the signed attributes name that certificate, by its hash.
fn is_named(attributes: Element<'_>, certificate: &[u8]) -> Result<bool, NoToken> {
    let first = |value: Element<'_>| -> Result<Vec<Vec<u8>>, NoToken> {
        let mut ids = value.inner()?.tagged(Tag::Sequence)?.inner()?;
        let id = ids.tagged(Tag::Sequence)?.inner()?;
        Ok(id.map(|part| part.whole.to_vec()).collect())
    };
    let octets = |part: &[u8]| -> Result<Vec<u8>, NoToken> {
        Ok(all(part)?.tagged(Tag::OctetString)?.value.to_vec())
    };
    let by_v2 = |value| -> Result<bool, NoToken> {
        let parts = first(value)?;
        // the digest is left out where it is SHA-256
        match parts
            .first()
            .map(|part| all(part))
            .transpose()?
            .and_then(|mut e| e.next())
        {
            Some(named) if named.tag == Tag::Sequence => {
                let hash = parts.get(1).ok_or_else(|| form("a hash is missing"))?;
                Ok(octets(hash)? == digest(named)?.of(certificate))
            }
            Some(hash) => Ok(hash.value == Digest::Sha256.of(certificate)),
            None => Err(form("a hash is missing")),
        }
    };
    if let Ok(value) = attribute(attributes, SIGNER_V2) {
        return by_v2(value);
    }
    let parts = first(attribute(attributes, SIGNER_V1)?)?;
    let hash = parts.first().ok_or_else(|| form("a hash is missing"))?;
    Ok(octets(hash)?[..] == Sha1::digest(certificate)[..])
}

fn digest(algorithm: Element<'_>) -> Result<Digest, NoToken> {
    let name = algorithm.inner()?.one()?.oid()?;
    let known = [
        (SHA256, Digest::Sha256),
        (SHA384, Digest::Sha384),
        (SHA512, Digest::Sha512),
    ];
    let known = known.into_iter().find(|(of, _)| *of == name);
    known.map(|(_, digest)| digest).ok_or(NoToken::Signature(
        "its digest is none of SHA-256, SHA-384, SHA-512",
    ))
}

fn scheme(algorithm: Element<'_>, named: Digest) -> Result<(Scheme, Digest), NoToken> {
    let name = algorithm.inner()?.one()?.oid()?.to_string();
    let known = SIGNATURES.iter().find(|(of, ..)| *of == name);
    let known = known.map(|(_, scheme, digest)| (*scheme, digest.unwrap_or(named)));
    known.ok_or(NoToken::Signature(
        "it is neither RSA (PKCS #1 v1.5) nor ECDSA",
    ))
}

/// Time, hash (if it is a SHA-256) and nonce of what was signed.
type Said = (UtcMs, Option<Hash>, Option<Vec<u8>>);

fn tst_info(content: &[u8]) -> Result<Said, NoToken> {
    let mut parts = all(content)?.tagged(Tag::Sequence)?.inner()?;
    parts.tagged(Tag::Integer)?;
    parts.tagged(Tag::ObjectIdentifier)?;
    let mut imprint = parts.tagged(Tag::Sequence)?.inner()?;
    let algorithm = imprint.one()?.inner()?.one()?.oid()?;
    let hash = imprint.tagged(Tag::OctetString)?.value;
    let hash = Hash::try_from(hash).ok().filter(|_| algorithm == SHA256);
    parts.tagged(Tag::Integer)?;
    let time = time(parts.tagged(Tag::GeneralizedTime)?.value)?;
    // accuracy and ordering have other tags
    let nonce = parts.find(|part| part.tag == Tag::Integer);
    Ok((time, hash, nonce.map(|nonce| nonce.value.to_vec())))
}

/// `20261123140509Z`, or with a fraction of the second.
fn time(text: &[u8]) -> Result<UtcMs, NoToken> {
    let read = || {
        let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if whole.len() != 14 || !is_number(whole) || !is_number(fraction) {
            return None;
        }
        let part = |from: usize, to: usize| whole.get(from..to).unwrap_or_default();
        let fraction = fraction.get(..fraction.len().min(9)).unwrap_or_default();
        let at = format!(
            "{}-{}-{}T{}:{}:{}.{fraction}Z",
            part(0, 4),
            part(4, 6),
            part(6, 8),
            part(8, 10),
            part(10, 12),
            part(12, 14)
        );
        at.parse().ok()
    };
    read().ok_or_else(|| form("its time is not a time"))
}

fn subject(certificate: &[u8]) -> Result<String, NoToken> {
    let certificate = Certificate::from_der(certificate)?;
    let name = one_line(&certificate.tbs_certificate().subject().to_string());
    Ok(name.chars().take(WORDS_MAX).collect())
}
