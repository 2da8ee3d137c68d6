//! What went wrong between a client and a server, in words that name the fix.

use std::error::Error;
use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError, InvalidMessage};

/// What a server said that does not speak HTTP/2 in plaintext.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unexpected {
    /// TLS.
    Tls,
    /// An older HTTP.
    Http,
}

impl Unexpected {
    /// What a first byte tells. HTTP/2 begins with the length of a frame, whose first byte is 0.
    pub(super) const fn by_first_byte(byte: u8) -> Option<Self> {
        match byte {
            // A record of TLS: an alert, a handshake.
            0x15 | 0x16 => Some(Self::Tls),
            b'H' => Some(Self::Http),
            _ => None,
        }
    }
}

impl fmt::Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls => "the server answers in TLS",
            Self::Http => "the server answers in HTTP/1",
        })
    }
}

impl Error for Unexpected {}

/// What to do about an error, or one of its causes; absent when it is not about TLS.
#[must_use]
pub fn trouble_of(error: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(found) = told(error) {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// An error whose text says what to do.
pub(super) fn in_words(error: io::Error) -> io::Error {
    match trouble_of(&error) {
        Some(trouble) => io::Error::new(error.kind(), trouble),
        None => error,
    }
}

fn told(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(io) = error.downcast_ref::<io::Error>()
        && let Some(inner) = io.get_ref()
    {
        return trouble_of(inner);
    }
    if let Some(unexpected) = error.downcast_ref::<Unexpected>() {
        return Some(match unexpected {
            Unexpected::Tls => "TLS is spoken there: write `https://` instead of `http://`".to_owned(),
            Unexpected::Http => {
                "HTTP/1 is spoken there, and gRPC is not: is it the address of the API, or that of its metrics?".to_owned()
            }
        });
    }
    error.downcast_ref::<rustls::Error>().map(of_rustls)
}

fn of_rustls(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "plaintext is spoken there: write `http://` instead of `https://`, or give the server a certificate (`tls.certificate_file`)".to_owned()
        }
        rustls::Error::InvalidCertificate(problem) => of_certificate(problem),
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "the server asks for a client certificate: give it with --cert and --key".to_owned()
        }
        rustls::Error::AlertReceived(AlertDescription::CertificateExpired) => {
            "the client certificate has ended: renew it".to_owned()
        }
        rustls::Error::AlertReceived(
            AlertDescription::UnknownCA | AlertDescription::BadCertificate | AlertDescription::DecryptError,
        ) => "the server does not trust the client certificate: it must be signed by an authority of its `tls.client_ca_file`, for clients".to_owned(),
        rustls::Error::AlertReceived(AlertDescription::UnsupportedCertificate) => {
            "the client certificate is not one for clients: its extended key usage must hold `clientAuth`".to_owned()
        }
        other => format!("TLS could not be agreed on: {other}"),
    }
}

fn of_certificate(problem: &CertificateError) -> String {
    match problem {
        CertificateError::UnknownIssuer => {
            "the server's certificate is of an authority that is not trusted here: name the file of its CA with --ca".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has ended: renew it there (or the clock of this machine is wrong)".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate does not hold yet: is the clock of this machine right?".to_owned()
        }
        CertificateError::NotValidForName => {
            "the server's certificate is for another name: call the server by one that it has, or issue it anew for this one"
                .to_owned()
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let presented = if presented.is_empty() { "none".to_owned() } else { presented.join(", ") };
            format!(
                "the server's certificate is not for `{}`, but for {presented}: call the server by a name that it has, or issue it anew for \
                 this one",
                expected.to_str()
            )
        }
        other => format!("the server's certificate is not good: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("around")]
    struct Around(#[source] io::Error);

    #[test]
    fn a_cause_is_found_however_deep_and_names_its_fix() {
        let of = |error: rustls::Error| trouble_of(&Around(io::Error::other(error))).unwrap();
        assert!(of(CertificateError::UnknownIssuer.into()).contains("--ca"));
        assert!(of(CertificateError::Expired.into()).contains("renew"));
        assert!(of(rustls::Error::AlertReceived(AlertDescription::CertificateRequired)).contains("--cert and --key"));
        assert!(of(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)).contains("`http://` instead of"));
        let tls = Around(io::Error::other(Unexpected::by_first_byte(0x15).unwrap()));
        assert!(trouble_of(&tls).unwrap().contains("`https://` instead of"));
        assert_eq!(trouble_of(&Around(io::Error::from(io::ErrorKind::ConnectionRefused))), None);
        assert_eq!(Unexpected::by_first_byte(0), None);
    }
}
