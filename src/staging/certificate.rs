//! How long the certificate of a target is still valid, and whether a run fits into that.

use x509_parser::{certificate::X509Certificate, prelude::FromDer};

const DAY_S: i64 = 24 * 3600;
/// Fewer days than this are worth a word.
const DAYS_FEW: i64 = 14;
/// The run may take longer than planned, and clocks differ; in seconds.
const MARGIN_S: i64 = 3600;

/// What the end of a certificate means for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// It lasts long enough.
    Fine,
    /// It lasts for the run, and not for many days.
    Soon {
        /// Whole days that are left.
        days: i64,
    },
    /// It ends before the run does, or within an hour after.
    TooEarly,
}

/// The end of a certificate's validity in seconds since 1970.
pub(super) fn expires_s(der: &[u8]) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// Who signed a certificate, as it says itself.
pub(super) fn issuer(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.issuer().to_string())
}

/// Judges the end of a certificate for a run that ends at an instant; all in seconds since 1970.
pub fn validity(expires_s: i64, now_s: i64, run_end_s: i64) -> Validity {
    let days = (expires_s - now_s).div_euclid(DAY_S);
    if expires_s < run_end_s + MARGIN_S {
        Validity::TooEarly
    } else if days < DAYS_FEW {
        Validity::Soon { days }
    } else {
        Validity::Fine
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_must_end_an_hour_before_the_certificate_does() {
        let now = 1_000_000_000;
        for (left_s, run_s, wanted) in [
            (-1, 60, Validity::TooEarly),
            (0, 60, Validity::TooEarly),
            (3_659, 60, Validity::TooEarly),
            (3_660, 60, Validity::Soon { days: 0 }),
            (2 * DAY_S, 60, Validity::Soon { days: 2 }),
            (2 * DAY_S, 2 * DAY_S, Validity::TooEarly),
            (14 * DAY_S - 1, 60, Validity::Soon { days: 13 }),
            (14 * DAY_S, 60, Validity::Fine),
        ] {
            assert_eq!(validity(now + left_s, now, now + run_s), wanted, "{left_s}");
        }
    }

    #[test]
    fn the_end_is_read_from_the_certificate() {
        let mut params = rcgen::CertificateParams::new(vec!["x".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2031, 2, 3);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        assert_eq!(expires_s(certificate.der()), Some(1_927_843_200));
        assert_eq!(expires_s(b"nonsense"), None);
        let issuer = issuer(certificate.der()).unwrap();
        assert!(issuer.starts_with("CN="), "{issuer}");
    }
}
