//! Certificates of the scenarios: an authority made for one of them, and whom it signs for.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    KeyUsagePurpose,
};
use std::path::Path;

/// Who signs certificates.
#[derive(Debug)]
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

fn named(name: &str, hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.use_authority_key_identifier_extension = true;
    params
}

impl Authority {
    /// Writes its certificate.
    pub(crate) fn new(dir: &Path, file: &str) -> Self {
        let mut params = named(file, &[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let made = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(dir.join(file), made.as_ref().pem()).unwrap();
        Self(made)
    }

    /// Writes `<file>.pem` and `<file>.key`, both whole at once.
    pub(crate) fn signs(&self, dir: &Path, file: &str, name: &str, hosts: &[&str]) {
        let key = KeyPair::generate().unwrap();
        let made = named(name, hosts).signed_by(&key, &self.0).unwrap();
        for (end, text) in [("pem", made.pem()), ("key", key.serialize_pem())] {
            let fresh = dir.join("fresh");
            std::fs::write(&fresh, text).unwrap();
            std::fs::rename(&fresh, dir.join(format!("{file}.{end}"))).unwrap();
        }
    }
}
