//! Certificate authorities, leaves and kubeconfig files of one cluster, made anew with each state folder.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use serde_json::json;

/// Where one certificate and its key lie.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Pair {
    fn at(dir: &Path, name: &str) -> Self {
        Self {
            cert: dir.join(format!("{name}.crt")),
            key: dir.join(format!("{name}.key")),
        }
    }

    fn is_there(&self) -> Result<bool> {
        Ok(self.cert.try_exists()? && self.key.try_exists()?)
    }

    fn read(&self) -> Result<(String, String)> {
        let read = |path: &Path| {
            fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
        };
        Ok((read(&self.cert)?, read(&self.key)?))
    }
}

/// Who a certificate speaks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) name: &'a str,
    /// Kubernetes reads the groups of a client from here.
    pub(crate) organisation: Option<&'a str>,
    /// DNS names and addresses of a server; empty for a client.
    pub(crate) names: &'a [&'a str],
}

/// An authority on disk: `<name>.crt` and `<name>.key` in its folder.
#[derive(Debug)]
pub(crate) struct Authority {
    dir: PathBuf,
    pub(crate) pair: Pair,
}

impl Authority {
    /// Opens the authority of this name or makes it.
    pub(crate) fn open(dir: &Path, name: &str) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        let pair = Pair::at(dir, name);
        if !pair.is_there()? {
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::new(Vec::new())?;
            params.distinguished_name = distinguished_name(&format!("hindsight-{name}"), None);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![
                KeyUsagePurpose::KeyCertSign,
                KeyUsagePurpose::DigitalSignature,
            ];
            write_secret(&pair.key, &key.serialize_pem())?;
            write_atomic(
                &pair.cert,
                params.self_signed(&key)?.pem().as_bytes(),
                0o644,
            )?;
        }
        Ok(Self {
            dir: dir.to_owned(),
            pair,
        })
    }

    /// The leaf `<file>.crt` / `<file>.key`, valid as client and, where it has names, as server; made
    /// once, so that a second start finds what running components already hold.
    pub(crate) fn leaf(&self, file: &str, subject: Subject<'_>) -> Result<Pair> {
        let pair = Pair::at(&self.dir, file);
        if pair.is_there()? {
            return Ok(pair);
        }
        let (cert, key) = self.pair.read()?;
        let issuer = Issuer::from_ca_cert_pem(&cert, KeyPair::from_pem(&key)?)?;
        let key = KeyPair::generate()?;
        let names: Vec<String> = subject.names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = distinguished_name(subject.name, subject.organisation);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        if !subject.names.is_empty() {
            params
                .extended_key_usages
                .push(ExtendedKeyUsagePurpose::ServerAuth);
        }
        params.use_authority_key_identifier_extension = true;
        write_secret(&pair.key, &key.serialize_pem())?;
        write_atomic(
            &pair.cert,
            params.signed_by(&key, &issuer)?.pem().as_bytes(),
            0o644,
        )?;
        Ok(pair)
    }

    /// A kubeconfig that carries its certificates inside, for `server` as `user`.
    pub(crate) fn kubeconfig(
        &self,
        path: &Path,
        server: &str,
        context: &str,
        user: &Pair,
    ) -> Result<()> {
        let (authority, _) = self.pair.read()?;
        let (cert, key) = user.read()?;
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": context,
            "clusters": [{"name": context, "cluster": {
                "server": server,
                "certificate-authority-data": BASE64.encode(authority),
            }}],
            "users": [{"name": context, "user": {
                "client-certificate-data": BASE64.encode(cert),
                "client-key-data": BASE64.encode(key),
            }}],
            "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
        });
        write_secret(path, &serde_json::to_string_pretty(&config)?)
    }
}

/// The key pair that signs service account tokens: the key and, beside it, its public half.
pub(crate) fn signing_key(dir: &Path) -> Result<Pair> {
    let pair = Pair {
        cert: dir.join("sa.pub"),
        key: dir.join("sa.key"),
    };
    if !pair.is_there()? {
        let key = KeyPair::generate()?;
        write_secret(&pair.key, &key.serialize_pem())?;
        write_atomic(&pair.cert, key.public_key_pem().as_bytes(), 0o644)?;
    }
    Ok(pair)
}

/// Writes a file only its owner reads, whole or not at all.
pub(crate) fn write_secret(path: &Path, content: &str) -> Result<()> {
    write_atomic(path, content.as_bytes(), 0o600)
}

/// Writes through a sibling and a rename: a start that was killed leaves no half file behind.
pub(crate) fn write_atomic(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let sibling = PathBuf::from(name);
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&sibling)?;
        file.write_all(content)?;
        fs::rename(&sibling, path)
    };
    write().with_context(|| format!("write {}", path.display()))
}

fn distinguished_name(common: &str, organisation: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    if let Some(organisation) = organisation {
        name.push(DnType::OrganizationName, organisation);
    }
    name
}
