//! Builds the filters of `guest-filters` for WebAssembly and embeds them, so that the program is one file and never brings
//! an older filter than its source says. Embeds the demo's address database too, made from `data/demo-networks.jsonl`, and what `weir new`
//! writes.

use std::env;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::DeflateEncoder;

#[path = "build/author.rs"]
mod author;
#[path = "build/guests.rs"]
mod guests;
#[path = "src/address_database.rs"]
#[expect(unreachable_pub, reason = "it is a module of the library")]
mod mmdb;

/// The demo's networks: a line of metadata, then a line a network.
const NETWORKS: &str = "data/demo-networks.jsonl";

fn main() {
    if let Err(error) = run() {
        // What cargo shows of a build script that failed is its stderr.
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn run() -> Result<(), String> {
    let host = variable("CARGO_MANIFEST_DIR")?;
    let workspace = host.parent().ok_or("the host's folder lies in no workspace")?.to_owned();
    for path in ["guest-filters", "wit", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
    for path in ["build", "build.rs", NETWORKS, "src/address_database.rs"] {
        println!("cargo::rerun-if-changed={path}");
    }

    let out = variable("OUT_DIR")?;
    let guests = guests::build(&workspace, "guest-filters", target_folder(&out))?;
    let mut table =
        String::from("/// The filters' modules by name, in alphabetical order, packed (DEFLATE).\n");
    table.push_str("pub(super) static GUESTS: &[(&str, &[u8])] = &[\n");
    for guest in guests {
        let module = out.join(guest.name.clone() + ".wasm.deflate");
        pack(&guest.module, &module).map_err(|error| format!("{}: {error}", guest.module.display()))?;
        writeln!(table, "    ({:?}, include_bytes!({:?})),", guest.name, module.display().to_string())
            .map_err(|error| error.to_string())?;
    }
    table.push_str("];\n");
    write(&out.join("guests.rs"), table.as_bytes())?;
    let files = serde_json::to_vec(&author::files(&workspace)?).map_err(|error| error.to_string())?;
    let files = deflated(&files).map_err(|error| error.to_string())?;
    write(&out.join("author.json.deflate"), &files)?;
    let networks = host.join(NETWORKS);
    let database = address_database(&networks).map_err(|error| format!("{}: {error}", networks.display()))?;
    write(&out.join("demo.mmdb"), &database)
}

/// Time zones and other tables are most of a filter, and pack to a third.
fn pack(module: &Path, packed: &Path) -> std::io::Result<()> {
    std::fs::write(packed, deflated(&std::fs::read(module)?)?)
}

fn deflated(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn address_database(networks: &Path) -> Result<Vec<u8>, String> {
    let text = std::fs::read_to_string(networks).map_err(|error| error.to_string())?;
    let (metadata, networks) = mmdb::read_facts(&text)?;
    mmdb::write(&metadata, &networks)
}

/// Cargo's target folder, which `OUT_DIR` lies in.
fn target_folder(out: &Path) -> &Path {
    let marked = out.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    marked.or_else(|| out.ancestors().nth(4)).unwrap_or(out)
}

fn variable(name: &str) -> Result<PathBuf, String> {
    env::var_os(name)
        .map(PathBuf::from)
        .ok_or_else(|| format!("{name} is not set: this is to be run by cargo"))
}

fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    std::fs::write(path, content).map_err(|error| format!("{}: {error}", path.display()))
}
