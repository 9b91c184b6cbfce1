use super::*;
use crate::process::run;

fn spec(dir: &Path) -> ImageSpec {
    let program = dir.join("program");
    fs::write(&program, "not an ELF file").expect("write");
    ImageSpec::new(
        "example.test/app:v1",
        1000,
        &[(&program, "/usr/local/bin/app")],
    )
}

fn unpack(spec: &ImageSpec, dir: &Path) -> PathBuf {
    let archive = dir.join("image.tar");
    let mut out = fs::File::create(&archive).expect("create");
    spec.pack(&mut out, dir).expect("pack");
    let image = dir.join("image");
    fs::create_dir(&image).expect("create");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    run("tar", &["-xf", &text(&archive), "-C", &text(&image)]).expect("unpack");
    image
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).expect("read")).expect("JSON")
}

#[test]
fn an_archive_names_its_tag_its_layer_and_the_layers_digest() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let image = unpack(&spec(dir.path()), dir.path());
    let manifest = json(&image.join("manifest.json"));
    assert_eq!(
        manifest,
        json!([{"Config": "config.json", "RepoTags": ["example.test/app:v1"], "Layers": ["layer.tar"]}])
    );
    let config = json(&image.join("config.json"));
    assert_eq!(
        config["config"]["Entrypoint"],
        json!(["/usr/local/bin/app"])
    );
    assert_eq!(config["config"]["User"], "1000:1000");
    let layer = sha256_of(&image.join("layer.tar")).expect("sum");
    assert_eq!(
        config["rootfs"]["diff_ids"],
        json!([format!("sha256:{layer}")])
    );
}

#[test]
fn a_layer_holds_the_binary_and_what_every_program_expects() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let image = unpack(&spec(dir.path()), dir.path());
    let layer = image.join("layer.tar");
    let listing = run("tar", &["-tvf", layer.to_str().expect("UTF-8")]).expect("list");
    let modes: BTreeMap<&str, &str> = listing
        .lines()
        .filter_map(|line| Some((line.rsplit(' ').next()?, line.split(' ').next()?)))
        .collect();
    assert_eq!(modes.get("tmp/"), Some(&"drwxrwxrwt"));
    assert_eq!(modes.get("usr/local/bin/"), Some(&"drwxr-xr-x"));
    assert_eq!(modes.get("usr/local/bin/app"), Some(&"-rwxr-xr-x"));
    for file in ["etc/passwd", "etc/group", "etc/nsswitch.conf"] {
        assert_eq!(modes.get(file), Some(&"-rw-r--r--"), "{file}");
    }
}

#[test]
fn the_digest_follows_content_and_user_and_nothing_else() {
    let dir = tempfile::tempdir().expect("temporary folder");
    let first = spec(dir.path());
    let digest = first.digest().expect("digest");
    let again = dir.path().join("again");
    fs::create_dir(&again).expect("create");
    assert_eq!(
        spec(&again).digest().expect("digest"),
        digest,
        "the host's path is no content"
    );
    let other_user = ImageSpec {
        user: 1001,
        ..first.clone()
    };
    assert_ne!(other_user.digest().expect("digest"), digest);
    fs::write(dir.path().join("program"), "another build").expect("write");
    assert_ne!(first.digest().expect("digest"), digest);
}

#[test]
fn a_dynamically_linked_program_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("temporary folder");
    // The shell of any glibc distribution, and of this test, is dynamically linked.
    let shell = fs::canonicalize("/bin/sh").expect("a shell");
    let spec = ImageSpec::new("example.test/sh:v1", 0, &[(&shell, "/bin/sh")]);
    let error = spec
        .pack(&mut std::io::sink(), dir.path())
        .expect_err("refused")
        .to_string();
    assert!(
        error.contains("dynamically linked") && error.contains("sh"),
        "{error}"
    );
}

#[test]
fn a_path_that_leaves_the_image_is_refused() {
    let dir = tempfile::tempdir().expect("temporary folder");
    for path in ["bin/app", "/bin/../../etc/passwd", "/bin//app"] {
        let mut spec = spec(dir.path());
        spec.files[0].path = path.to_owned();
        assert!(
            spec.pack(&mut std::io::sink(), dir.path()).is_err(),
            "{path}"
        );
    }
}
