//! Making certificates: authorities, and what they sign.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::CertificateError;

/// One that signs.
pub(super) type Signer = Issuer<'static, KeyPair>;

/// A new authority.
pub(super) struct Made {
    pub(super) signer: Signer,
    /// PEM.
    pub(super) certificate: String,
    /// PEM.
    pub(super) key: String,
    pub(super) ends: Timestamp,
}

/// Makes an authority that lasts about this long: certificates begin and end with a day.
pub(super) fn authority(name: &str, now: Timestamp, lasts: SignedDuration) -> Result<Made, rcgen::Error> {
    let key = KeyPair::generate()?;
    let last = day(now.saturating_add(lasts).unwrap_or(Timestamp::MAX));
    let mut params = params(name);
    valid(&mut params, now, last);
    let certificate = params.self_signed(&key)?.pem();
    let ends = last.to_zoned(TimeZone::UTC).map_or(now, |zoned| zoned.timestamp());
    Ok(Made { certificate, key: key.serialize_pem(), signer: Issuer::new(params, key), ends })
}

/// The authority of this name again; why not, if certificate and key do not belong together.
pub(super) fn opened(name: &str, certificate: &str, key: &str) -> Result<Signer, String> {
    let pair = KeyPair::from_pem(key).map_err(|error| error.to_string())?;
    let certificate =
        CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| error.to_string())?;
    CertifiedKey::from_der(vec![certificate], key, &ring::default_provider())
        .map_err(|error| error.to_string())?;
    Ok(Issuer::new(params(name), pair))
}

/// A server certificate, and its last day.
pub(super) fn server(
    signer: &Signer,
    names: &[String],
    now: Timestamp,
    until: Timestamp,
) -> Result<(CertifiedKey, Date), CertificateError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name = distinguished("Penstock controller");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let last = day(until);
    valid(&mut params, now, last);
    let certificate = params.signed_by(&key, signer)?;
    let private =
        PrivateKeyDer::try_from(key.serialize_der()).map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
    let certified =
        CertifiedKey::from_der(vec![certificate.der().clone()], private, &ring::default_provider())?;
    Ok((certified, last))
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = distinguished(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn distinguished(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn day(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

/// From the day before, because clocks differ.
fn valid(params: &mut CertificateParams, now: Timestamp, last: Date) {
    let moment = |date: Date| {
        let part = |value: i8| u8::try_from(value).unwrap_or(1);
        date_time_ymd(i32::from(date.year()), part(date.month()), part(date.day()))
    };
    params.not_before = moment(day(now).yesterday().unwrap_or(Date::MIN));
    params.not_after = moment(last);
}
