//! The certificates of a cluster, made anew for each: elliptic curves, so it takes milliseconds.

use anyhow::{Context, Result};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use kube::config::Kubeconfig;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use serde_json::json;

/// An authority and the certificate that others trust it by.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    key: String,
    certificate: String,
}

/// A certificate with its key, both as PEM.
#[derive(Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// Its private key.
    pub key: String,
}

/// A key pair that signs ServiceAccount tokens, both halves as PEM.
pub struct SigningKey {
    /// The private half.
    pub private: String,
    /// The public half.
    pub public: String,
}

impl Authority {
    /// A new one.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(name, None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().context("a key")?;
        let certificate = params.self_signed(&key).context("an authority's certificate")?.pem();
        Ok(Self { key: key.serialize_pem(), issuer: Issuer::new(params, key), certificate })
    }

    /// Its certificate as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Its private key as PEM.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// A certificate for a server under these names, or for a client if there are none. Kubernetes takes `name` for the
    /// user and `group` for the group.
    pub fn issue(&self, name: &str, group: Option<&str>, names: &[&str]) -> Result<Identity> {
        let names: Vec<String> = names.iter().copied().map(str::to_owned).collect();
        let mut params = CertificateParams::new(names).context("a certificate's names")?;
        params.distinguished_name = named(name, group);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().context("a key")?;
        let certificate = params.signed_by(&key, &self.issuer).context("a certificate")?.pem();
        Ok(Identity { certificate, key: key.serialize_pem() })
    }

    /// A kubeconfig for the server at `url`, which this authority vouches for.
    pub fn kubeconfig(&self, url: &str, user: &Identity) -> Result<Kubeconfig> {
        let base64 = |pem: &str| BASE64_STANDARD.encode(pem);
        serde_json::from_value(json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "test", "cluster": {
                "server": url, "certificate-authority-data": base64(&self.certificate) } }],
            "users": [{ "name": "test", "user": {
                "client-certificate-data": base64(&user.certificate), "client-key-data": base64(&user.key) } }],
            "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
            "current-context": "test",
        }))
        .context("a kubeconfig")
    }
}

impl SigningKey {
    /// A new one.
    pub fn new() -> Result<Self> {
        let key = KeyPair::generate().context("a key")?;
        Ok(Self { private: key.serialize_pem(), public: key.public_key_pem() })
    }
}

fn named(name: &str, group: Option<&str>) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    if let Some(group) = group {
        distinguished.push(DnType::OrganizationName, group);
    }
    distinguished
}
