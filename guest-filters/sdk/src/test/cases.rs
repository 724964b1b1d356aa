//! The cases of a crate, run natively by `cargo test`. What the host does around a filter is not there, so cases about that are
//! left out and named: `weir test` runs all of them, through the component.

use std::path::Path;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value as Json};
use toml::de::{DeTable, DeValue};

use super::expectation::{Expectation, Observed, compare};
use super::{After, Running, networks_of};
use crate::field_reference::FieldReference;
use crate::filter::Filter;
use crate::options::Environment;
use crate::{native, timestamp};

/// Options that the host sees to, whatever the filter.
const OPTIONS_OF_THE_HOST: [&str; 11] = [
    "add_field",
    "remove_field",
    "add_tag",
    "remove_tag",
    "when",
    "on_error",
    "on_trap",
    "limits",
    "type",
    "tags",
    "exclude_tags",
];

/// Options that change nothing here.
const OPTIONS_WITHOUT_EFFECT: [&str; 4] = ["id", "grants", "enable_metric", "periodic_flush"];

/// What became of a crate's cases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CasesRun {
    /// So many were run, and passed.
    pub passed: usize,
    /// Those that only `weir test` can run, each with the reason.
    pub left_out: Vec<String>,
}

/// Runs all files of cases (`*.toml`) in a folder; cargo runs a crate's tests in the crate's own folder, so that is mostly
/// `"cases"`. Left out are cases about what the host does: common options, `when`, `on_error`, `on_trap`, limits, dead letters.
/// Patterns of `match`, and what the filter asks of kernels, are what the test installed in [`crate::native`].
///
/// # Panics
/// When a case does not pass, is wrong, or there is none. The message names all of them, with file and line.
pub fn run_cases<F: Filter>(folder: impl AsRef<Path>) -> CasesRun {
    let folder = folder.as_ref();
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display())).path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    let mut run = CasesRun::default();
    let mut wrong = Vec::new();
    for file in files {
        let text =
            std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let cases = match read_file(&text) {
            Ok(cases) => cases,
            Err((place, message)) => {
                wrong.push(format!("{}:{}: {message}", file.display(), line_of(&text, place)));
                continue;
            }
        };
        for (place, case) in cases {
            let named = |what: &str| {
                let name = case["name"].as_str().unwrap_or("a case without a name");
                format!("{}:{}: {name}: {what}", file.display(), line_of(&text, place))
            };
            match run_case::<F>(&case, folder) {
                Ok(None) => run.passed += 1,
                Ok(Some(reason)) => run.left_out.push(named(reason)),
                Err(differences) => wrong.push(named(&differences)),
            }
        }
    }
    let count = run.passed + run.left_out.len() + wrong.len();
    assert!(count > 0, "there are no cases in {}", folder.display());
    assert!(wrong.is_empty(), "{} of {count} cases are wrong:\n{}", wrong.len(), wrong.join("\n"));
    for left_out in &run.left_out {
        println!("left out: {left_out}");
    }
    run
}

/// The cases of a file as JSON, each with its place and with the databases of the whole file.
fn read_file(text: &str) -> Result<Vec<(usize, Json)>, (usize, String)> {
    let table = DeTable::parse(text)
        .map_err(|error| (error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
    let table = table.get_ref();
    let databases = table.get("databases").map(|value| json_of(value.get_ref())).unwrap_or_default();
    let (mut cases, none) = (Vec::new(), Json::Null);
    let Some(list) = table.get("case") else { return Ok(cases) };
    let list: Vec<_> = match list.get_ref() {
        DeValue::Array(list) => list.iter().collect(),
        _ => vec![list],
    };
    for case in list {
        let mut json = json_of(case.get_ref());
        let Some(map) = json.as_object_mut() else {
            return Err((case.span().start, "a case is a table".to_owned()));
        };
        let own = map.remove("databases");
        let all = [&databases, own.as_ref().unwrap_or(&none)];
        let all: Map<String, Json> = all
            .into_iter()
            .filter_map(Json::as_object)
            .flatten()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        map.insert("databases".to_owned(), Json::Object(all));
        cases.push((case.span().start, json));
    }
    Ok(cases)
}

fn json_of(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => Json::from(&**text),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Json::Null, Json::from)
        }
        DeValue::Float(number) => number.as_str().parse::<f64>().map_or(Json::Null, Json::from),
        DeValue::Boolean(value) => Json::from(*value),
        DeValue::Datetime(time) => Json::from(time.to_string()),
        DeValue::Array(list) => list.iter().map(|value| json_of(value.get_ref())).collect(),
        DeValue::Table(table) => {
            let members =
                table.iter().map(|(key, value)| (key.get_ref().to_string(), json_of(value.get_ref())));
            Json::Object(members.collect())
        }
    }
}

fn line_of(text: &str, place: usize) -> usize {
    text.bytes().take(place).filter(|byte| *byte == b'\n').count() + 1
}

/// Nothing if it passed, a reason if it cannot be run here; an error is what is different.
fn run_case<F: Filter>(case: &Json, folder: &Path) -> Result<Option<&'static str>, String> {
    let mut options = case.get("options").cloned().unwrap_or_else(|| Json::Object(Map::new()));
    let Some(map) = options.as_object_mut() else { return Err("`options` is no table".to_owned()) };
    if OPTIONS_OF_THE_HOST.iter().any(|option| map.contains_key(*option)) {
        return Ok(Some("it is about options that the host sees to"));
    }
    map.retain(|name, _| !OPTIONS_WITHOUT_EFFECT.contains(&name.as_str()));
    let batches = match case.get("batches").and_then(Json::as_array) {
        Some(batches) => batches.clone(),
        None => vec![case.clone()],
    };
    if batches.is_empty() {
        return Err("`batches` is empty".to_owned());
    }
    let mut expectations = Vec::with_capacity(batches.len());
    for batch in &batches {
        let expect = read_expectation(batch.get("expect"))?;
        if expect.breaks.is_some() || expect.dead_letters.is_some() {
            return Ok(Some("it is about a filter that breaks, or about dead letters"));
        }
        expectations.push(expect);
    }
    let time = read_time(case)?;
    native::set_now(time.unwrap_or_else(now));
    native::set_seed(case["seed"].as_u64().unwrap_or_default());
    let earlier = install_databases(&case["databases"])?;
    let result = run_batches::<F>(&options, case, &batches, &expectations, time, folder);
    native::restore_addresses(earlier);
    result.map(|()| None)
}

fn run_batches<F: Filter>(
    options: &Json,
    case: &Json,
    batches: &[Json],
    expectations: &[Expectation],
    mut time: Option<i64>,
    folder: &Path,
) -> Result<(), String> {
    let default = Environment::default();
    let setting = |key: &str, default: String| case[key].as_str().map_or(default, str::to_owned);
    let environment = Environment {
        timezone: setting("timezone", default.timezone),
        locale: setting("locale", default.locale),
        ecs_compatibility: setting("ecs_compatibility", default.ecs_compatibility),
        common_options: false,
    };
    let matches = |pattern: &str, text: &str| native::matches(pattern, text);
    let differences = |number: usize, expect: &Expectation, observed: &Observed| {
        let found = compare(expect, observed, &matches);
        let place = if batches.len() > 1 { format!("batch {}: ", number + 1) } else { String::new() };
        let texts: Vec<String> = found.iter().map(|difference| format!("{place}{difference}")).collect();
        if texts.is_empty() { Ok(()) } else { Err(texts.join("\n")) }
    };
    let mut running = match Running::<F>::configure(options, &environment) {
        Ok(running) => running,
        Err(problems) => {
            let refused = problems.iter().map(|problem| problem.message.clone()).collect();
            let observed = Observed { refused, ..Observed::default() };
            return differences(0, &expectations[0], &observed);
        }
    };
    for (number, (batch, expect)) in batches.iter().zip(expectations).enumerate() {
        if number > 0 || case.get("batches").is_some() {
            time = read_time(batch)?.or(time);
            time.into_iter().for_each(native::set_now);
        }
        if batch["save_and_restore"] == true {
            running = running.restarted(options, &environment)?;
        }
        let events = read_events(batch, time.unwrap_or_default(), folder)?;
        let mut observed = Observed::default();
        for After { event, failures, dropped, .. } in running.process(&events) {
            observed.failed |= !failures.is_empty();
            observed.reasons.extend(failures);
            if !dropped {
                observed.events.push(event);
            }
        }
        differences(number, expect, &observed)?;
    }
    Ok(())
}

/// The events as an input hands them on.
fn read_events(batch: &Json, time: i64, folder: &Path) -> Result<Vec<Json>, String> {
    let mut events = match (batch.get("input"), batch["input_file"].as_str()) {
        (None, Some(name)) => read_events_file(&folder.join(name))?,
        (Some(Json::Array(events)), _) => events.clone(),
        (Some(event), _) => vec![event.clone()],
        (None, None) => vec![Json::Object(Map::new())],
    };
    for event in &mut events {
        let event = event.as_object_mut().ok_or("an event is a table of fields")?;
        event.entry("@timestamp").or_insert_with(|| Json::from(timestamp::to_text(time)));
        event.entry("@version").or_insert_with(|| Json::from("1"));
    }
    Ok(events)
}

fn read_events_file(path: &Path) -> Result<Vec<Json>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let is_json = path
        .extension()
        .is_some_and(|extension| ["ndjson", "jsonl", "json"].iter().any(|ending| extension == *ending));
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let event = |line: &str| match is_json {
        true => serde_json::from_str(line).map_err(|error| format!("{}: {error}", path.display())),
        false => Ok(Json::Object(Map::from_iter([("message".to_owned(), Json::from(line))]))),
    };
    lines.map(event).collect()
}

fn read_time(of: &Json) -> Result<Option<i64>, String> {
    let Some(text) = of.get("clock").and_then(Json::as_str) else { return Ok(None) };
    timestamp::parse(text).map(Some).ok_or_else(|| format!("{text:?} is no time"))
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// The case's own databases before those that are installed; answers these.
fn install_databases(databases: &Json) -> Result<Option<native::OpenAddresses>, String> {
    let mut tables = Vec::new();
    for (name, database) in databases.as_object().into_iter().flatten() {
        let networks = database["networks"].as_object().into_iter().flatten();
        let networks: Vec<_> = networks.map(|(network, record)| (network.clone(), record.clone())).collect();
        let kind = database["type"].as_str().unwrap_or("GeoLite2-City").to_owned();
        tables.push((name.clone(), kind, networks_of(&networks)?));
    }
    let earlier = native::installed_addresses();
    let others = earlier.clone();
    native::install_addresses(Rc::new(move |path| match tables.iter().find(|(name, ..)| name == path) {
        Some((_, kind, lookup)) => Ok((kind.clone(), lookup.clone())),
        None => match &others {
            Some(others) => others(path),
            None => Err(format!("no address database {path:?} is installed in this test")),
        },
    }));
    Ok(earlier)
}

fn read_expectation(written: Option<&Json>) -> Result<Expectation, String> {
    let Some(written) = written else { return Ok(Expectation { unsaid: true, ..Expectation::default() }) };
    let mut expect = Expectation::default();
    for (key, value) in written.as_object().ok_or("`expect` is no table")? {
        match (key.as_str(), value) {
            ("fields", Json::Object(fields)) => expect.fields = read_fields(fields)?,
            ("match", Json::Object(patterns)) => {
                for (name, pattern) in patterns {
                    let pattern = pattern.as_str().ok_or("a pattern is a text")?;
                    expect.matches.push((FieldReference::parse(name)?, pattern.to_owned()));
                }
            }
            ("absent", value) => {
                for name in texts(value) {
                    expect.absent.push(FieldReference::parse(&name)?);
                }
            }
            ("tags", value) => expect.tags = Some(texts(value)),
            ("dropped", Json::Bool(value)) => expect.dropped = *value,
            ("failed", Json::Bool(value)) => expect.failed = Some(*value),
            ("error", Json::String(value)) if value == "config" => expect.refused = true,
            ("breaks", Json::String(value)) => expect.breaks = Some(value.clone()),
            ("dead_letters", Json::Number(number)) => expect.dead_letters = number.as_u64(),
            ("events", Json::Array(events)) => {
                let fields = |event: &Json| read_fields(event.as_object().ok_or("an event is a table")?);
                expect.events = Some(events.iter().map(fields).collect::<Result<_, String>>()?);
            }
            _ => return Err(format!("`expect` has an unknown part `{key}`, or one of another kind")),
        }
    }
    Ok(expect)
}

fn read_fields(fields: &Map<String, Json>) -> Result<Vec<(FieldReference, Json)>, String> {
    fields.iter().map(|(name, value)| Ok((FieldReference::parse(name)?, value.clone()))).collect()
}

fn texts(value: &Json) -> Vec<String> {
    match value {
        Json::Array(list) => list.iter().map(crate::options::text_of).collect(),
        other => vec![crate::options::text_of(other)],
    }
}
