//! Objects whose bytes on the disk are not what they were: swapped, cut, flipped, pointed elsewhere, or lying about their
//! size. There is an answer within seconds and within bounds, whatever is there.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use git_audit::verify::report::Code;
use sha1::{Digest as _, Sha1};

use crate::tamper::{Ledger, overwrite, task, task_with};

/// One object of each kind that the tip's ledger needs.
const OBJECTS: [&str; 5] =
    ["audit:.audit/tasks/one.json", "audit:.audit/tasks", "audit^{tree}", "audit", "audit~1"];

fn ledger() -> Ledger {
    let mut ledger = Ledger::of(&["one", "two"]);
    ledger.build();
    ledger
}

/// Fails the test unless this code is found, or, where the tip itself cannot be read, there is a clear error.
#[track_caller]
fn finds(ledger: &mut Ledger, object: &str, code: Code) {
    let report = ledger.verify().exits(3);
    assert!(report.codes().contains(&code.as_str()), "{object}: {:#}", report.answer);
    assert_eq!(report.layer("objects"), "failed");
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(bytes).unwrap();
    zlib.finish().unwrap()
}

#[test]
fn an_object_that_is_gone_is_missing() {
    for object in OBJECTS {
        let mut ledger = ledger();
        let id = ledger.id(object);
        fs::remove_file(ledger.loose(object)).unwrap();
        ledger.id("refs/heads/audit");
        finds(&mut ledger, object, Code::ObjectMissing);
        assert!(ledger.verify().answer["findings"].to_string().contains(&id));
    }
}

#[test]
fn an_object_cut_at_any_length_is_damaged() {
    for object in OBJECTS {
        let mut ledger = ledger();
        let file = ledger.loose(object);
        let bytes = fs::read(&file).unwrap();
        let length = bytes.len();
        for length in [0, 1, 2, 10, length / 2, length - 20, length - 5, length - 1] {
            overwrite(&file, &bytes[..length]);
            finds(&mut ledger, object, Code::ObjectDamaged);
        }
    }
}

#[test]
fn an_object_in_the_file_of_another_is_damaged() {
    for object in OBJECTS {
        let mut ledger = ledger();
        for other in ["audit:.audit/tasks/two.json", "audit~1^{tree}", "audit~2"] {
            let [file, other] = [object, other].map(|name| ledger.loose(name));
            let (honest, swapped) = (fs::read(&file).unwrap(), fs::read(other).unwrap());
            overwrite(&file, swapped);
            finds(&mut ledger, object, Code::ObjectDamaged);
            overwrite(&file, honest);
        }
        ledger.verify().finds(&[]);
    }
}

#[test]
fn an_entry_edited_in_its_object_is_damaged_and_the_finding_says_what_its_hash_is() {
    let mut ledger = ledger();
    let bytes = task_with("one", serde_json::json!({"title": "it went well"})).bytes;
    let honest = ledger.id("audit:.audit/tasks/one.json");
    let object = [format!("blob {}\0", bytes.len()).into_bytes(), bytes].concat();
    overwrite(&ledger.loose("audit:.audit/tasks/one.json"), deflated(&object));
    let report = ledger.verify().finds(&[Code::ObjectDamaged]);
    let finding = report.finding(Code::ObjectDamaged).to_string();
    let actual: String = Sha1::digest(&object).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(finding.contains(&honest) && finding.contains(&actual), "{finding}");
}

#[test]
fn a_loose_object_that_is_no_object_is_damaged() {
    let blob = task("one").bytes;
    let whole = |header: String| deflated(&[header.as_bytes(), &blob].concat());
    let length = blob.len();
    let files = [
        b"garbage".to_vec(),
        deflated(b""),
        deflated(b"blob"),
        deflated(b"blob 12"),
        deflated(&[b'b'; 1 << 20]),
        whole(format!("blob {}\0", length - 1)),
        whole(format!("blob {}\0", length + 1)),
        whole(format!("blob 0{length}\0")),
        whole(format!("blob -{length}\0")),
        whole(format!("blob {length}x\0")),
        whole(format!("tree {length}\0")),
        whole(format!("thing {length}\0")),
        [whole(format!("blob {length}\0")), b"more".to_vec()].concat(),
    ];
    for file in files {
        let mut ledger = ledger();
        overwrite(&ledger.loose(OBJECTS[0]), &file);
        finds(&mut ledger, &format!("{:?}", &file[..file.len().min(40)]), Code::ObjectDamaged);
    }
}

#[test]
fn an_object_that_claims_eight_gigabytes_is_given_no_memory() {
    for object in OBJECTS {
        let mut ledger = ledger();
        let kind = ledger.sandbox.git(&["cat-file", "-t", object]);
        let lie = format!("{} 8589934592\0abc", kind.trim());
        overwrite(&ledger.loose(object), deflated(lie.as_bytes()));
        finds(&mut ledger, object, Code::ObjectDamaged);
    }
}

/// What really unfolds to gigabytes, from a file of a few hundred kilobytes, is not unfolded.
#[test]
fn an_object_that_unfolds_without_end_is_given_no_memory() {
    let mut ledger = ledger();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(b"blob 268435456\0").unwrap();
    for _ in 0..256 {
        zlib.write_all(&[b' '; 1 << 20]).unwrap();
    }
    overwrite(&ledger.loose(OBJECTS[0]), zlib.finish().unwrap());
    finds(&mut ledger, OBJECTS[0], Code::ObjectDamaged);
}

/// A ledger in one pack without deltas, and the pack's two files.
fn packed() -> (Ledger, PathBuf, PathBuf) {
    let mut ledger = Ledger::of(&["one", "two", "three"]);
    ledger.build();
    ledger.sandbox.git(&["repack", "-q", "-a", "-d", "--depth=0", "--window=0"]);
    ledger.sandbox.git(&["prune-packed"]);
    let files = fs::read_dir(ledger.sandbox.path(".git/objects/pack")).unwrap();
    let pack =
        files.map(|file| file.unwrap().path()).find(|path| path.extension().unwrap() == "pack").unwrap();
    let index = pack.with_extension("idx");
    (ledger, pack, index)
}

/// The bytes, with the checksum that they end in made to fit.
fn summed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - 20;
    let sum = Sha1::digest(&bytes[..end]);
    bytes[end..].copy_from_slice(&sum);
    bytes
}

/// Where each object of a pack begins, as its index has it: the place in the index, and the offset, by id.
fn offsets(index: &[u8]) -> Vec<(String, usize, usize)> {
    let count = u32::from_be_bytes(index[8 + 255 * 4..8 + 256 * 4].try_into().unwrap()) as usize;
    let ids = index[8 + 1024..].chunks_exact(20).take(count);
    let place = |number: usize| 8 + 1024 + count * 24 + number * 4;
    let offset = |at: usize| u32::from_be_bytes(index[at..at + 4].try_into().unwrap()) as usize;
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    ids.enumerate().map(|(number, id)| (hex(id), place(number), offset(place(number)))).collect()
}

#[test]
fn a_flipped_byte_of_a_packed_object_is_found() {
    let (mut ledger, pack, index) = packed();
    let honest = fs::read(&pack).unwrap();
    let places = offsets(&fs::read(index).unwrap());
    let objects = ["audit:.audit/tasks/one.json", "audit~1:.audit/tasks", "audit~1", "audit"];
    for (object, id) in objects.map(|object| (object, ledger.id(object))) {
        let (.., offset) = places.iter().find(|(found, ..)| *found == id).unwrap();
        for (at, bits) in [(0, 0x10), (0, 0x40), (2, 0xff), (12, 0x01), (30, 0x80)] {
            let mut bytes = honest.clone();
            bytes[offset + at] ^= bits;
            overwrite(&pack, summed(bytes));
            let report = ledger.verify().exits(3);
            assert_eq!(report.layer("objects"), "failed", "{object} at {at}: {:#}", report.answer);
        }
    }
    overwrite(&pack, honest);
    ledger.verify().finds(&[]);
}

#[test]
fn a_packed_object_that_claims_a_gigabyte_is_given_no_memory() {
    let (mut ledger, pack, index) = packed();
    let mut bytes = fs::read(&pack).unwrap();
    let mut places = fs::read(&index).unwrap();
    // The last object of the pack: what is put in before it moves nothing else.
    let (id, _, offset) = offsets(&places).into_iter().max_by_key(|(.., offset)| *offset).unwrap();
    let header = bytes[offset..].iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let kind = bytes[offset] & 0x70;
    let mut lie = vec![0x80 | kind];
    let mut rest: u64 = (1 << 30) >> 4;
    while rest >= 0x80 {
        lie.push(0x80 | (rest & 0x7f) as u8);
        rest >>= 7;
    }
    lie.push(rest as u8);
    bytes.splice(offset..offset + header, lie);
    let bytes = summed(bytes);
    let end = places.len();
    places[end - 40..end - 20].copy_from_slice(&bytes[bytes.len() - 20..]);
    overwrite(&pack, bytes);
    overwrite(&index, summed(places));
    finds(&mut ledger, &id, Code::ObjectDamaged);
}

#[test]
fn a_pack_that_is_cut_is_found() {
    let (ledger, pack, _) = packed();
    let bytes = fs::read(&pack).unwrap();
    let length = bytes.len();
    for length in [0, 1, 11, 12, 13, length / 4, length / 2, length - 200] {
        overwrite(&pack, &bytes[..length]);
        let done = ledger.sandbox.audit(&["verify"]);
        // Where not even the tip can be read, there is no ledger to be found.
        assert!([1, 3].contains(&done.code), "cut to {length}: {done:?}");
    }
}

#[test]
fn an_index_of_a_pack_that_points_elsewhere_is_found() {
    let (mut ledger, _, index) = packed();
    let honest = fs::read(&index).unwrap();
    let places = offsets(&honest);
    let tip = ledger.id("audit");
    for object in ["audit:.audit/tasks/one.json", "audit~1:.audit/tasks", "audit~1"] {
        let id = ledger.id(object);
        let (_, place, _) = places.iter().find(|(found, ..)| *found == id).unwrap();
        let (.., other) = places.iter().find(|(found, ..)| *found == tip).unwrap();
        for offset in [*other as u32, 0, 3, 0x7fff_ffff, 0xffff_ffff] {
            let mut bytes = honest.clone();
            bytes[*place..place + 4].copy_from_slice(&offset.to_be_bytes());
            overwrite(&index, summed(bytes));
            let report = ledger.verify().exits(3);
            assert_eq!(report.layer("objects"), "failed", "{object} at {offset}: {:#}", report.answer);
        }
    }
}

#[test]
fn a_pack_without_its_index_is_a_history_that_is_missing() {
    let (mut ledger, _, index) = packed();
    ledger.record(&task("four"));
    ledger.build();
    fs::remove_file(index).unwrap();
    finds(&mut ledger, "the pack", Code::ObjectMissing);
}
