//! What TLS says of a certificate, told apart from failures of the network.

use std::{error::Error, io};

use rustls::CertificateError;

/// What it means that a certificate's issuer is unknown, and what to do.
pub const UNKNOWN_ISSUER: &str = "this machine does not know the issuer of the certificate; if this network intercepts TLS, \
     put the certificate of its CA into /usr/local/share/ca-certificates/ and run update-ca-certificates";

/// Whether TLS failed because nobody whom this machine trusts vouches for the certificate.
pub fn is_unknown_issuer(error: &(dyn Error + 'static)) -> bool {
    let of_io = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
        .and_then(|inner| inner.downcast_ref());
    matches!(
        error.downcast_ref().or(of_io),
        Some(rustls::Error::InvalidCertificate(
            CertificateError::UnknownIssuer
        ))
    )
}
