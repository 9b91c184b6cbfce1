//! Container images from nothing but static binaries, and their import without a registry.

mod tar;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use ring::digest::{Context as Digest, SHA256, digest as digest_at_once};
use serde_json::{Value, json};

use crate::parts;

/// A file of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageFile {
    /// Where its content lies on this machine.
    pub host: PathBuf,
    /// Its absolute path in the image. It is executable there, for binaries are what images are of.
    pub path: String,
}

/// An image to be packed: one layer that holds the files and what every program expects around it
/// (`/etc/passwd`, `/etc/group`, `/etc/nsswitch.conf`, a `/tmp` for all, the machine's CA bundle).
#[derive(Clone, Debug, PartialEq)]
pub struct ImageSpec {
    /// The full reference with its tag, as manifests name it.
    pub name: String,
    pub files: Vec<ImageFile>,
    /// Symbolic links: the absolute path of each, and what it points at.
    pub links: Vec<(String, String)>,
    pub entrypoint: Vec<String>,
    /// The uid, which is the gid too, that the image runs as where a pod says nothing else.
    pub user: u32,
}

/// What every pod's namespaces are held by.
pub const PAUSE_IMAGE: &str = "registry.k8s.io/pause:3.10";

pub(crate) const COREDNS_IMAGE: &str = "registry.k8s.io/coredns/coredns:v1.15.0";

/// A static busybox, as uid 0 where a pod says nothing else.
pub const BUSYBOX_IMAGE: &str = "docker.io/library/busybox:1.35.0";

const CA_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

impl ImageSpec {
    /// An image of the given binaries; the first is the entrypoint.
    #[must_use]
    pub fn new(name: &str, user: u32, files: &[(&Path, &str)]) -> Self {
        Self {
            name: name.to_owned(),
            files: files
                .iter()
                .map(|&(host, path)| ImageFile {
                    host: host.to_owned(),
                    path: path.to_owned(),
                })
                .collect(),
            links: Vec::new(),
            entrypoint: files
                .first()
                .map(|&(_, path)| path.to_owned())
                .into_iter()
                .collect(),
            user,
        }
    }

    /// The real Prometheus under its upstream's name, paths and uid, built from its module.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn prometheus() -> Result<Self> {
        let built = parts::build("prometheus")?;
        let (server, tool) = (built.join("prometheus"), built.join("promtool"));
        let files = [
            (server.as_path(), "/bin/prometheus"),
            (tool.as_path(), "/bin/promtool"),
        ];
        Ok(Self::new(
            "quay.io/prometheus/prometheus:v3.15.0",
            65534,
            &files,
        ))
    }

    /// The S3 gateway under its upstream's name and path, built from its module.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn versitygw() -> Result<Self> {
        let binary = parts::build("versitygw")?.join("versitygw");
        let files = [(binary.as_path(), "/usr/local/bin/versitygw")];
        Ok(Self::new("ghcr.io/versity/versitygw:v1.8.0", 0, &files))
    }

    /// The pause image of pods.
    pub(crate) fn pause() -> Result<Self> {
        let binary = parts::build("pause")?.join("pause");
        Ok(Self::new(
            PAUSE_IMAGE,
            65535,
            &[(binary.as_path(), "/pause")],
        ))
    }

    pub(crate) fn coredns() -> Result<Self> {
        let binary = parts::build("coredns")?.join("coredns");
        Ok(Self::new(
            COREDNS_IMAGE,
            65532,
            &[(binary.as_path(), "/coredns")],
        ))
    }

    /// A shell and the usual small programs, from Debian's static busybox: for the volume provisioner's
    /// helper pods and for the probes of tests.
    pub(crate) fn busybox() -> Result<Self> {
        let binary = Path::new("/bin/busybox");
        let mut spec = Self::new(BUSYBOX_IMAGE, 0, &[(binary, "/bin/busybox")]);
        let applets = crate::process::run("/bin/busybox", &["--list"])?;
        let applets = applets.lines().filter(|&applet| applet != "busybox");
        spec.links = applets
            .map(|applet| (format!("/bin/{applet}"), "busybox".into()))
            .collect();
        spec.entrypoint = vec!["/bin/sh".to_owned()];
        Ok(spec)
    }

    /// A digest of everything that goes into the image: equal digests mean equal images.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn digest(&self) -> Result<String> {
        let mut hash = Digest::new(&SHA256);
        let mut field = |bytes: &[u8]| {
            hash.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(bytes);
        };
        field(self.name.as_bytes());
        field(&self.user.to_le_bytes());
        field(serde_json::to_string(&self.entrypoint)?.as_bytes());
        for (path, mode, content) in self.layer_files()? {
            field(path.as_bytes());
            field(&mode.to_le_bytes());
            match content {
                Content::Text(text) | Content::Link(text) => field(text.as_bytes()),
                Content::Host(host) => field(sha256_of(&host)?.as_bytes()),
            }
        }
        Ok(hex(hash.finish().as_ref()))
    }

    /// Writes the image to `out` as the archive that `docker load` and `ctr images import` read.
    ///
    /// # Errors
    /// When a file cannot be read, or is a program that needs a loader which the image would lack.
    pub fn pack(&self, out: &mut (impl Write + ?Sized), scratch: &Path) -> Result<()> {
        ensure!(
            !self.entrypoint.is_empty(),
            "image {} has no entrypoint",
            self.name
        );
        for file in &self.files {
            ensure!(
                !needs_loader(&file.host)?,
                "{} is dynamically linked and cannot run in an image of its own; build it static \
                 (Go: CGO_ENABLED=0; Rust: -C target-feature=+crt-static with --target)",
                file.host.display()
            );
        }
        // The layer goes to a file first, for the digest of its bytes stands before them.
        let mut layer = tempfile_in(scratch)?;
        let diff_id = self.write_layer(&mut layer)?;
        let size = layer.stream_position()?;
        layer.seek(SeekFrom::Start(0))?;
        let config = self.config(&diff_id).to_string();
        let manifest =
            json!([{"Config": "config.json", "RepoTags": [self.name], "Layers": ["layer.tar"]}])
                .to_string();
        let mut archive = tar::Writer::new(out);
        archive.file(
            "manifest.json",
            0o644,
            manifest.len() as u64,
            manifest.as_bytes(),
        )?;
        archive.file("config.json", 0o644, config.len() as u64, config.as_bytes())?;
        archive.file("layer.tar", 0o644, size, BufReader::new(layer))?;
        archive.finish()?;
        Ok(())
    }

    fn config(&self, diff_id: &str) -> Value {
        json!({
            "architecture": architecture(),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {
                "Entrypoint": self.entrypoint,
                "User": format!("{0}:{0}", self.user),
                "WorkingDir": "/",
                "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
            },
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{diff_id}")]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "hindsight-cluster"}],
        })
    }

    /// Every file of the layer by its path without the leading slash, in the order of the archive.
    fn layer_files(&self) -> Result<Vec<(String, u32, Content)>> {
        let mut files = BTreeMap::new();
        let user = self.user;
        let mut passwd = String::from("root:x:0:0:root:/:/sbin/nologin\n");
        let mut group = String::from("root:x:0:\n");
        if user != 0 {
            passwd.push_str(&format!("app:x:{user}:{user}:app:/tmp:/sbin/nologin\n"));
            group.push_str(&format!("app:x:{user}:\n"));
        }
        let text = |text: &str| (0o644, Content::Text(text.to_owned()));
        files.insert("etc/passwd".to_owned(), text(&passwd));
        files.insert("etc/group".to_owned(), text(&group));
        files.insert("etc/nsswitch.conf".to_owned(), text("hosts: files dns\n"));
        if Path::new(CA_BUNDLE).try_exists()? {
            let bundle = CA_BUNDLE.trim_start_matches('/').to_owned();
            files.insert(bundle, (0o644, Content::Host(CA_BUNDLE.into())));
        }
        for file in &self.files {
            let path = self.relative(&file.path)?;
            files.insert(path.to_owned(), (0o755, Content::Host(file.host.clone())));
        }
        for (path, target) in &self.links {
            let path = self.relative(path)?;
            files.insert(path.to_owned(), (0o777, Content::Link(target.clone())));
        }
        Ok(files
            .into_iter()
            .map(|(path, (mode, content))| (path, mode, content))
            .collect())
    }

    fn relative<'a>(&self, path: &'a str) -> Result<&'a str> {
        let Some(relative) = path.strip_prefix('/') else {
            bail!("image {}: \"{path}\" is not an absolute path", self.name);
        };
        let plain = relative
            .split('/')
            .all(|step| !matches!(step, "" | "." | ".."));
        ensure!(plain, "image {}: \"{path}\" is not a plain path", self.name);
        Ok(relative)
    }

    fn write_layer(&self, out: &mut fs::File) -> Result<String> {
        let files = self.layer_files()?;
        let mut dirs = BTreeSet::from(["tmp"]);
        for (path, ..) in &files {
            dirs.extend(path.match_indices('/').map(|(at, _)| &path[..at]));
        }
        let mut layer = tar::Writer::new(Summed::new(BufWriter::new(out)));
        for dir in dirs {
            layer.dir(dir, if dir == "tmp" { 0o1777 } else { 0o755 })?;
        }
        for (path, mode, content) in &files {
            match content {
                Content::Text(text) => {
                    layer.file(path, *mode, text.len() as u64, text.as_bytes())?;
                }
                Content::Link(target) => layer.link(path, target)?,
                Content::Host(host) => {
                    let file = open(host)?;
                    let size = file.metadata()?.len();
                    layer.file(path, *mode, size, file)?;
                }
            }
        }
        Ok(hex(layer.finish()?.hash.finish().as_ref()))
    }
}

enum Content {
    Text(String),
    Link(String),
    Host(PathBuf),
}

/// Passes bytes on and sums them.
struct Summed<W> {
    out: W,
    hash: Digest,
}

impl<W> Summed<W> {
    fn new(out: W) -> Self {
        Self {
            out,
            hash: Digest::new(&SHA256),
        }
    }
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

/// A file without a name: whatever happens, nothing of it stays.
fn tempfile_in(dir: &Path) -> Result<fs::File> {
    let path = dir.join(format!(".layer-{}", std::process::id()));
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path);
    let file = file.with_context(|| format!("create {}", path.display()))?;
    fs::remove_file(&path)?;
    Ok(file)
}

fn open(path: &Path) -> Result<fs::File> {
    fs::File::open(path).with_context(|| format!("open {}", path.display()))
}

fn sha256_of(path: &Path) -> Result<String> {
    let mut summed = Summed::new(std::io::sink());
    std::io::copy(&mut open(path)?, &mut summed)
        .with_context(|| format!("read {}", path.display()))?;
    Ok(hex(summed.hash.finish().as_ref()))
}

/// The SHA-256 of some bytes in hexadecimal digits.
pub(crate) fn digest_of(bytes: &[u8]) -> String {
    hex(digest_at_once(&SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the file is a 64-bit ELF program with an interpreter, i.e. dynamically linked.
fn needs_loader(path: &Path) -> Result<bool> {
    const PROGRAM_HEADERS: usize = 64 * 56;
    const PT_INTERP: u32 = 3;
    let mut head = Vec::new();
    open(path)?
        .take(64 + PROGRAM_HEADERS as u64)
        .read_to_end(&mut head)?;
    if head.get(..5) != Some(b"\x7fELF\x02") {
        return Ok(false);
    }
    let number = |at: usize, size: usize| -> Option<usize> {
        let bytes = head.get(at..at.checked_add(size)?)?;
        let value = bytes
            .iter()
            .rev()
            .fold(0_u64, |value, &byte| value << 8 | u64::from(byte));
        usize::try_from(value).ok()
    };
    let (Some(table), Some(size), Some(count)) = (number(32, 8), number(54, 2), number(56, 2))
    else {
        return Ok(false);
    };
    let kind = |index: usize| number(table.checked_add(index.checked_mul(size)?)?, 4);
    Ok((0..count).any(|index| kind(index) == Some(PT_INTERP as usize)))
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests;
