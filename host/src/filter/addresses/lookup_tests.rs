//! Lookups in databases written for them.

use std::path::Path;

use serde_json::{Value as Json, json};
use weir_test_support::mmdb::{self, Metadata};

use super::super::super::interface::{Column, KERNEL_PLACE, MixedCell};
use super::super::kept;
use super::*;

fn database_bytes(networks: &[(&str, Json)]) -> Vec<u8> {
    let metadata = Metadata {
        database_type: "Test-City".to_owned(),
        ip_version: 6,
        record_size: 24,
        languages: vec!["en".to_owned()],
        build_epoch: 1,
        description: vec![("en".to_owned(), "a test".to_owned())],
    };
    let networks: Vec<(String, Json)> =
        networks.iter().map(|(network, record)| ((*network).to_owned(), record.clone())).collect();
    mmdb::write(&metadata, &networks).expect("a database")
}

fn record() -> Json {
    json!({
        "city": {"names": {"en": "Tōkyō"}},
        "country": {"iso_code": "JP"},
        "subdivisions": [{"iso_code": "12"}, {"iso_code": "13"}],
        "location": {"latitude": 35.5, "metro_code": 511},
        "traits": {"is_proxy": true},
    })
}

fn open(folder: &Path, networks: &[(&str, Json)]) -> OpenDatabase {
    std::fs::write(folder.join("test.mmdb"), database_bytes(networks)).expect("written");
    let environment = ChainEnvironment { folder: folder.to_path_buf(), ..ChainEnvironment::default() };
    OpenDatabase::open(&Arc::default(), &environment, "test.mmdb").expect("opened")
}

/// One column a path, a value a row in JSON; `null` where there is none.
fn look_up(database: &mut OpenDatabase, addresses: &[&str], paths: &[&[&str]]) -> (Vec<u8>, Vec<Vec<Json>>) {
    let mut text = String::new();
    let mut column = Texts::default();
    for address in addresses {
        column.starts.push(text.len() as u32);
        column.lens.push(address.len() as u32);
        text.push_str(address);
    }
    let paths: Vec<Vec<String>> =
        paths.iter().map(|path| path.iter().map(ToString::to_string).collect()).collect();
    let mut kernel_texts = KernelTexts::default();
    let (found, columns) =
        database.lookup(&column, text.as_bytes(), &paths, &mut kernel_texts).expect("good arguments");
    let text_at = |start: u32, length: u32| match length {
        NO_VALUE => Json::Null,
        length => {
            let (_, text) = kernel_texts.around(start & !KERNEL_PLACE).expect("a kernel's text");
            let at = text.find(start & !KERNEL_PLACE, length).expect("a place in it");
            Json::from(&text.text()[at as usize..(at + length) as usize])
        }
    };
    let present = |present: &[u8], row: usize| present.is_empty() || present[row / 8] >> (row % 8) & 1 != 0;
    let rows = addresses.len();
    let values = |column: &Column| -> Vec<Json> {
        match column {
            Column::Absent => vec![Json::Null; rows],
            Column::Text(texts) => {
                texts.starts.iter().zip(&texts.lens).map(|(start, length)| text_at(*start, *length)).collect()
            }
            Column::Integer(numbers) => (0..rows)
                .map(
                    |row| {
                        if present(&numbers.present, row) { json!(numbers.values[row]) } else { Json::Null }
                    },
                )
                .collect(),
            Column::Boolean(numbers) => (0..rows)
                .map(|row| {
                    if present(&numbers.present, row) { json!(numbers.values[row] != 0) } else { Json::Null }
                })
                .collect(),
            Column::Float(floats) => (0..rows)
                .map(|row| if present(&floats.present, row) { json!(floats.values[row]) } else { Json::Null })
                .collect(),
            Column::Mixed(mixed) => {
                let mut values = vec![Json::Null; rows];
                for (row, cell) in mixed {
                    values[*row as usize] = match cell {
                        MixedCell::Text((start, length)) => text_at(*start, *length),
                        MixedCell::Integer(value) => json!(value),
                        MixedCell::Float(value) => json!(value),
                        MixedCell::Boolean(value) => json!(value),
                        other => panic!("a lookup does not answer {other:?}"),
                    };
                }
                values
            }
            other => panic!("a lookup does not answer {other:?}"),
        }
    };
    (found, columns.iter().map(values).collect())
}

#[test]
fn records_become_columns() {
    let folder = tempfile::tempdir().expect("a folder");
    let networks = [("192.0.2.0/24", record()), ("2001:db8::/32", json!({"country": {"iso_code": 7}}))];
    let mut database = open(folder.path(), &networks);
    assert_eq!(database.kind(), "Test-City");
    let addresses = ["192.0.2.77", "198.51.100.1", "2001:DB8::1", "no address", "[::ffff:192.0.2.78]", ""];
    let paths: &[&[&str]] = &[
        &["@ip"],
        &["@network"],
        &["city", "names", "en"],
        &["country", "iso_code"],
        &["subdivisions", "-1", "iso_code"],
        &["@join", "-", "country", "iso_code", "", "subdivisions", "0", "iso_code"],
        &["location", "latitude"],
        &["location", "metro_code"],
        &["traits", "is_proxy"],
        &["location"],
        &["nothing"],
        &["subdivisions", "x"],
    ];
    // Twice: looked up, and kept.
    for _ in 0..2 {
        let (found, columns) = look_up(&mut database, &addresses, paths);
        assert_eq!(found, [0b1_0101]);
        let rows = |first: Json, third: Json, fifth: Json| {
            vec![first, Json::Null, third, Json::Null, fifth, Json::Null]
        };
        let both = |value: Json| rows(value.clone(), Json::Null, value);
        let expected = [
            rows(json!("192.0.2.77"), json!("2001:db8:0:0:0:0:0:1"), json!("192.0.2.78")),
            rows(json!("192.0.2.0/24"), json!("2001:db8:0:0:0:0:0:0/32"), json!("192.0.2.0/24")),
            both(json!("Tōkyō")),
            rows(json!("JP"), json!(7), json!("JP")),
            both(json!("13")),
            both(json!("JP-12")),
            both(json!(35.5)),
            both(json!(511)),
            both(json!(true)),
            both(Json::Null),
            both(Json::Null),
            both(Json::Null),
        ];
        assert_eq!(columns, expected);
    }
}

#[test]
fn what_is_kept_is_bounded_and_right() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut database = open(folder.path(), &[("10.0.0.0/8", record()), ("2001:db8::/32", record())]);
    let mut forgotten = false;
    for batch in 0..200_u32 {
        let addresses: Vec<String> = (0..750_u32)
            .map(|row| match batch * 700 + row {
                number if row % 2 == 0 => std::net::Ipv4Addr::from(0x0a00_0000 + number).to_string(),
                number => format!("2001:db8:0:0:0:1:{:x}:{:x}", number >> 16, number & 0xffff),
            })
            .collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let (_, columns) = look_up(&mut database, &addresses, &[&["@ip"], &["city", "names", "en"]]);
        let expected: Vec<Json> = addresses.iter().map(|address| json!(address)).collect();
        assert!(columns[0] == expected, "{batch}");
        assert!(columns[1].iter().all(|city| city == "Tōkyō"));
        let addresses = database.kept.as_ref().expect("something is kept").addresses();
        assert!(addresses <= kept::MOST_ADDRESSES + 750);
        forgotten |= batch > 130 && addresses < 20_000;
    }
    assert!(forgotten, "there were more than are kept");
    // Other paths, other answers.
    let (_, columns) = look_up(&mut database, &["10.0.0.1"], &[&["country", "iso_code"]]);
    assert_eq!(columns, [[json!("JP")]]);
}

/// What several workers find at once, each its own rows in its own order, while all is forgotten again and again.
#[test]
fn workers_share_what_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("test.mmdb"), database_bytes(&[("10.0.0.0/8", record())]))
        .expect("written");
    let environment = ChainEnvironment { folder: folder.path().to_path_buf(), ..ChainEnvironment::default() };
    let databases = Arc::default();
    let open = || OpenDatabase::open(&databases, &environment, "test.mmdb").expect("opened");
    let first = open();
    let work = |worker: u32| {
        let mut database = open();
        for batch in 0..60_u32 {
            let numbers = (0..2_000).map(|row| (row * 7 + batch * 1_900 + worker * 950) % 120_000);
            let addresses: Vec<String> =
                numbers.map(|number| std::net::Ipv4Addr::from(0x0a00_0000 + number).to_string()).collect();
            let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
            let (found, columns) = look_up(&mut database, &addresses, &[&["@ip"], &["country", "iso_code"]]);
            assert!(found.iter().all(|bits| *bits == 0xff));
            let expected: Vec<Json> = addresses.iter().map(|address| json!(address)).collect();
            assert!(columns[0] == expected, "{worker}: {batch}");
            assert!(columns[1].iter().all(|country| country == "JP"));
        }
        database
    };
    let mut ended: Vec<OpenDatabase> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|worker| scope.spawn(move || work(worker))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    ended.push(first);
    let (_, columns) = look_up(&mut ended[3], &["10.0.0.1"], &[&["@ip"], &["country", "iso_code"]]);
    assert_eq!(columns[0], [json!("10.0.0.1")]);
    let kept: Vec<_> = ended.iter().map(|database| database.kept.as_ref().expect("looked up")).collect();
    assert!(kept.iter().all(|one| Arc::ptr_eq(one, kept[0])), "all share one");
    for path in ["a", "b", "c"] {
        for database in &mut ended {
            look_up(database, &["10.0.0.1"], &[&[path]]);
        }
    }
    assert_eq!(ended[0].database.lists(), 1, "what nobody asks for any more is let go");
}

#[test]
fn a_replaced_file_is_taken_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut database = open(folder.path(), &[("10.0.0.0/8", json!({"name": "old"}))]);
    let name = |database: &mut OpenDatabase| look_up(database, &["10.0.0.1"], &[&["name"]]).1[0][0].clone();
    assert_eq!(name(&mut database), "old");
    let file = folder.path().join("test.mmdb");
    let replace = |bytes: &[u8]| {
        let new = folder.path().join("new.mmdb");
        std::fs::write(&new, bytes).expect("written");
        std::fs::rename(&new, &file).expect("replaced");
    };
    replace(b"broken");
    database.looked = Instant::now() - 2 * LOOK_AGAIN;
    assert_eq!(name(&mut database), "old", "a broken file is not taken");
    replace(&database_bytes(&[("10.0.0.0/8", json!({"name": "new"}))]));
    assert_eq!(name(&mut database), "old", "not looked at again yet");
    database.looked = Instant::now() - 2 * LOOK_AGAIN;
    assert_eq!(name(&mut database), "new");
}

#[test]
fn bad_files_and_arguments() {
    let folder = tempfile::tempdir().expect("a folder");
    let environment = ChainEnvironment { folder: folder.path().to_path_buf(), ..ChainEnvironment::default() };
    let fails = |content: Option<&[u8]>, expected: &str| {
        if let Some(content) = content {
            std::fs::write(folder.path().join("bad.mmdb"), content).expect("written");
        }
        let error = OpenDatabase::open(&Arc::default(), &environment, "bad.mmdb").err().expect("refused");
        let message = format!("{error:#}");
        assert!(message.contains("bad.mmdb") && message.contains(expected), "{message}");
    };
    fails(None, "No such file");
    fails(Some(b""), "it is empty");
    fails(Some(b"something else"), "no database");
    let whole = database_bytes(&[("10.0.0.0/8", record())]);
    fails(Some(&whole[..whole.len() / 2]), "no database");

    let mut database = open(folder.path(), &[("10.0.0.0/8", record())]);
    let mut refused = |starts: &[u32], lens: &[u32], paths: &[Vec<String>]| {
        let addresses = Texts { starts: starts.to_vec(), lens: lens.to_vec() };
        assert!(database.lookup(&addresses, b"10.0.0.1", paths, &mut KernelTexts::default()).is_err());
    };
    refused(&[0], &[], &[]);
    refused(&[0], &[9], &[]);
    refused(&[u32::MAX], &[u32::MAX - 1], &[]);
    refused(&[0], &[1], &vec![Vec::new(); MOST_PATHS + 1]);
    refused(&[0], &[1], &[vec![String::new(); MOST_PATHS + 1]]);
    refused(&vec![0; MOST_VALUES + 1], &vec![1; MOST_VALUES + 1], &[]);
}

#[test]
fn the_demos_database_is_there() {
    let environment = ChainEnvironment::default();
    let mut database = OpenDatabase::open(&Arc::default(), &environment, "demo:addresses").expect("embedded");
    assert!(database.kind().contains("City"));
    let (_, columns) = look_up(&mut database, &["192.0.2.1"], &[&["city", "names", "en"]]);
    assert_eq!(columns, [[json!("Tokyo")]]);
}
