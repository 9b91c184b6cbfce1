use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, Issuer, KeyPair};
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::*;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).expect("params");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("key");
        let pem = params.self_signed(&key).expect("self-signed").pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Writes a leaf for `name` and returns its files.
    fn leaf(&self, dir: &Path, file: &str, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().expect("key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("params");
        let leaf = params.signed_by(&key, &self.issuer).expect("signed");
        let (cert_file, key_file) = (
            dir.join(format!("{file}.crt")),
            dir.join(format!("{file}.key")),
        );
        std::fs::write(&cert_file, leaf.pem()).expect("write");
        std::fs::write(&key_file, key.serialize_pem()).expect("write");
        (cert_file, key_file)
    }
}

/// Shakes hands in memory and returns the server certificate the client saw.
async fn handshake(server: &ServerTls, client: &ClientTls, host: &str) -> Result<Vec<u8>, String> {
    let (near, far) = tokio::io::duplex(64 << 10);
    let name: ServerName<'static> = client.server_name(host).map_err(|e| e.to_string())?;
    let accept = server.acceptor().accept(far);
    let connect = TlsConnector::from(client.config()).connect(name, near);
    let (accepted, connected) = tokio::join!(accept, connect);
    let connected = connected.map_err(|error| error.to_string())?;
    accepted.map_err(|error| error.to_string())?;
    let (_, session) = connected.get_ref();
    Ok(session.peer_certificates().expect("server shows one")[0].to_vec())
}

#[tokio::test]
async fn rotated_certificate_is_served_without_restart_and_a_broken_one_is_not() {
    let dir = tempfile::tempdir().expect("tempdir");
    let authority = Authority::new();
    let ca_file = dir.path().join("ca.crt");
    std::fs::write(&ca_file, &authority.pem).expect("write");
    let (cert_file, key_file) = authority.leaf(dir.path(), "server", "localhost");
    let server = ServerTls::load_checking_always(ServerTlsConfig {
        cert_file: cert_file.clone(),
        key_file,
        ..ServerTlsConfig::default()
    })
    .expect("loads");
    let client = ClientTls::load(
        ClientTlsConfig {
            ca_file: Some(ca_file),
            ..ClientTlsConfig::default()
        },
        &["h2"],
    )
    .expect("loads");

    let first = handshake(&server, &client, "localhost")
        .await
        .expect("shakes hands");
    authority.leaf(dir.path(), "server", "localhost");
    let second = handshake(&server, &client, "localhost")
        .await
        .expect("shakes hands");
    assert_ne!(first, second);

    std::fs::write(&cert_file, "not a certificate").expect("write");
    let third = handshake(&server, &client, "localhost")
        .await
        .expect("keeps the old one");
    assert_eq!(second, third);
    assert_eq!(server.reload_failures(), 1);
}

#[tokio::test]
async fn server_name_replaces_the_host_in_verification() {
    let dir = tempfile::tempdir().expect("tempdir");
    let authority = Authority::new();
    let ca_file = dir.path().join("ca.crt");
    std::fs::write(&ca_file, &authority.pem).expect("write");
    let (cert_file, key_file) = authority.leaf(dir.path(), "server", "x.ns.internal");
    let config = ServerTlsConfig {
        cert_file,
        key_file,
        ..ServerTlsConfig::default()
    };
    let server = ServerTls::load(config, &["h2"]).expect("loads");
    let plain = ClientTlsConfig {
        ca_file: Some(ca_file),
        ..ClientTlsConfig::default()
    };
    let client = ClientTls::load(plain.clone(), &["h2"]).expect("loads");
    assert!(handshake(&server, &client, "10.0.0.7").await.is_err());
    let named = ClientTlsConfig {
        server_name: Some("x.ns.internal".into()),
        ..plain
    };
    let client = ClientTls::load(named, &["h2"]).expect("loads");
    handshake(&server, &client, "10.0.0.7")
        .await
        .expect("verified by name");
    // A client that names the host it dials is verified by the same name, and by no other.
    for (name, expected) in [("x.ns.internal", true), ("y.ns.internal", false)] {
        let (cert_file, key_file) = authority.leaf(dir.path(), "other", name);
        let config = ServerTlsConfig {
            cert_file,
            key_file,
            ..ServerTlsConfig::default()
        };
        let server = ServerTls::load(config, &["h2"]).expect("loads");
        let (near, far) = tokio::io::duplex(64 << 10);
        let dialled = ServerName::try_from("dialled.example").expect("a name");
        let connect = TlsConnector::from(client.config()).connect(dialled, near);
        let (_, connected) = tokio::join!(server.acceptor().accept(far), connect);
        assert_eq!(connected.is_ok(), expected, "{name}");
    }
}

#[tokio::test]
async fn mutual_tls_refuses_a_client_without_certificate_of_the_authority() {
    let dir = tempfile::tempdir().expect("tempdir");
    let authority = Authority::new();
    let ca_file = dir.path().join("ca.crt");
    std::fs::write(&ca_file, &authority.pem).expect("write");
    let (cert, key) = authority.leaf(dir.path(), "server", "localhost");
    let config = ServerTlsConfig::from_flags(
        Some(cert),
        Some(key),
        Some(ca_file.clone()),
        TlsVersion::V13,
    )
    .expect("complete")
    .expect("given");
    let server = ServerTls::load(config, &["h2"]).expect("loads");
    let anonymous = ClientTlsConfig {
        ca_file: Some(ca_file),
        ..ClientTlsConfig::default()
    };
    let client = ClientTls::load(anonymous.clone(), &["h2"]).expect("loads");
    assert!(handshake(&server, &client, "localhost").await.is_err());

    let (cert, key) = authority.leaf(dir.path(), "client", "client");
    let known = ClientTlsConfig {
        cert_file: Some(cert),
        key_file: Some(key),
        ..anonymous
    };
    let client = ClientTls::load(known, &["h2"]).expect("loads");
    handshake(&server, &client, "localhost")
        .await
        .expect("known client");
}

#[test]
fn half_a_pair_and_broken_files_are_named() {
    let half = ServerTlsConfig::from_flags(Some("/c".into()), None, None, TlsVersion::V13);
    assert!(matches!(half, Err(TlsError::HalfPair)));
    let dir = tempfile::tempdir().expect("tempdir");
    let (cert_file, key_file) = (dir.path().join("c"), dir.path().join("k"));
    std::fs::write(&cert_file, "garbage").expect("write");
    std::fs::write(&key_file, "garbage").expect("write");
    let config = ServerTlsConfig {
        cert_file,
        key_file,
        ..ServerTlsConfig::default()
    };
    let error = ServerTls::load(config, &[]).expect_err("garbage");
    assert!(
        error.to_string().contains("holds no certificate"),
        "{error}"
    );
    assert!("1.1".parse::<TlsVersion>().is_err());
}
