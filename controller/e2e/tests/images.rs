//! Images made without Docker: the same inputs give the same bytes, everything in them is what it says, and the
//! Dockerfiles beside the programs say the same.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::path::{Path, PathBuf};
use std::process::Command;

use penstock_e2e::product;
use penstock_e2e::scratch::Scratch;
use serde_json::Value;

/// One as it is shipped, and a large one with links and scripts.
const BUILT: [&[&str]; 2] = [&["simulator"], &["--unpacked", "postgres"]];
/// Their names.
const NAMES: [&str; 2] = ["simulator", "postgres"];
const DOCKERFILES: [(&str, &str); 5] = [
    ("controller", "controller/Dockerfile"),
    ("proxy", "proxy/Dockerfile"),
    ("cli", "controller/cli/Dockerfile"),
    ("simulator", "proxy/simulator/Dockerfile"),
    ("postgres", "controller/postgres/Dockerfile"),
];

fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Runs a program that must succeed; what it printed.
fn run(program: &Path, arguments: &[&str]) -> String {
    let done = Command::new(program).args(arguments).output().unwrap();
    assert!(
        done.status.success(),
        "{} {arguments:?}: {}",
        program.display(),
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).unwrap()
}

fn build(out: &Path) {
    let programs = product::programs().unwrap();
    let flags = ["--programs", programs.to_str().unwrap(), "--out", out.to_str().unwrap()];
    for what in BUILT {
        run(&checkout(".ci/images"), &[&flags, what].concat());
    }
}

/// An image's layout, unpacked.
struct Image {
    folder: PathBuf,
}

impl Image {
    fn open(scratch: &Scratch, archive: &Path, name: &str) -> Self {
        let folder = scratch.join(&format!("{name}.unpacked"));
        std::fs::create_dir(&folder).unwrap();
        run("tar".as_ref(), &["-xf", archive.to_str().unwrap(), "-C", folder.to_str().unwrap()]);
        Self { folder }
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_str(&std::fs::read_to_string(self.folder.join(path)).unwrap()).unwrap()
    }

    /// The path of what a descriptor describes, which must be what it says.
    fn blob(&self, descriptor: &Value) -> String {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let path = format!("blobs/sha256/{digest}");
        let file = self.folder.join(&path);
        let sum = run("sha256sum".as_ref(), &[file.to_str().unwrap()]);
        assert!(sum.starts_with(digest), "{path} has the digest {sum}");
        assert_eq!(descriptor["size"], file.metadata().unwrap().len());
        path
    }

    fn manifest(&self) -> Value {
        let index = self.json("index.json");
        self.json(&self.blob(&index["manifests"][0]))
    }
}

#[test]
fn the_same_inputs_make_the_same_images() {
    let scratch = Scratch::new("images").unwrap();
    let (one, other) = (scratch.join("one"), scratch.join("other"));
    build(&one);
    build(&other);
    for name in NAMES {
        let file = format!("{name}.tar");
        let [one, other] = [&one, &other].map(|folder| std::fs::read(folder.join(&file)).unwrap());
        assert!(one == other, "{name} differs from one build to the next");
    }
}

#[test]
fn everything_in_an_image_is_what_it_says_and_belongs_to_nobody_special() {
    let scratch = Scratch::new("images").unwrap();
    build(scratch.path());
    for name in NAMES {
        let image = Image::open(&scratch, &scratch.join(&format!("{name}.tar")), name);
        assert_eq!(image.json("oci-layout")["imageLayoutVersion"], "1.0.0");
        let named = &image.json("index.json")["manifests"][0]["annotations"]["io.containerd.image.name"];
        let expected = format!("registry.penstock.dev/{name}:{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(*named, expected);
        let manifest = image.manifest();
        let config = image.json(&image.blob(&manifest["config"]));
        assert_eq!(config["config"]["User"], "65532:65532");
        let layers = manifest["layers"].as_array().unwrap();
        for (layer, unpacked) in layers.iter().zip(config["rootfs"]["diff_ids"].as_array().unwrap()) {
            let path = image.folder.join(image.blob(layer));
            let packed = layer["mediaType"].as_str().unwrap().ends_with("gzip");
            let read = if packed { "gzip -dc" } else { "cat" };
            let sum = run("sh".as_ref(), &["-c", &format!("{read} '{}' | sha256sum", path.display())]);
            assert_eq!(format!("sha256:{}", sum.split(' ').next().unwrap()), *unpacked);
            let listed = run("tar".as_ref(), &["-tvf", path.to_str().unwrap()]);
            for line in listed.lines() {
                assert!(line.contains(" 0/0 ") && line.contains("1970-01-01"), "{name}: {line}");
                assert!(!line.split(' ').next().unwrap().contains(['s', 't']), "{name}: {line}");
            }
        }
    }
}

#[test]
fn the_dockerfiles_run_the_same_as_the_same_user() {
    let described: Value = serde_json::from_str(&run(&checkout(".ci/images"), &["--describe"])).unwrap();
    assert_eq!(described.as_object().unwrap().len(), DOCKERFILES.len());
    for (name, dockerfile) in DOCKERFILES {
        let config = &described[name];
        let text = std::fs::read_to_string(checkout(dockerfile)).unwrap();
        let last = text.rsplit("\nFROM scratch\n").next().unwrap();
        let says = |instruction: &str| {
            let line = last.lines().find_map(|line| line.strip_prefix(instruction));
            line.unwrap_or_default().trim().to_owned()
        };
        assert_eq!(says("USER"), config["User"], "{dockerfile}");
        assert_eq!(says("ENTRYPOINT"), config["Entrypoint"].to_string(), "{dockerfile}");
        assert_eq!(says("STOPSIGNAL"), config["StopSignal"].as_str().unwrap_or_default(), "{dockerfile}");
        assert!(text.contains(&format!("--files {name} ")), "{dockerfile}");
    }
}
