//! What options of all filters have in common: the host's own (`add_field` and so on, `when`), templates, names of zones and
//! locales, and options that are of another kind than they should be.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::{Strategy, any};
use proptest::prop_oneof;
use proptest::sample::select;
use proptest::strategy::BoxedStrategy;
use serde_json::{Map, Value as Json};

use crate::conditions::condition;
use crate::values::{letters, name, reference, value};

/// Entries of a table, as JSON.
pub(crate) fn table(
    keys: BoxedStrategy<String>,
    values: BoxedStrategy<Json>,
    most: usize,
) -> BoxedStrategy<Json> {
    vec((keys, values), 1..=most).prop_map(|entries| Json::Object(entries.into_iter().collect())).boxed()
}

/// A text with `%{…}` in it, often one that means something.
pub(crate) fn template() -> BoxedStrategy<String> {
    let piece = prop_oneof![
        6 => reference().prop_map(|reference| format!("%{{{reference}}}")),
        2 => date_pattern().prop_map(|pattern| format!("%{{+{pattern}}}")),
        2 => date_pattern().prop_map(|pattern| format!("%{{{{{pattern}}}}}")),
        3 => letters(4),
        1 => select(
            &["%{+%s}", "%{}", "%{+}", "%{{}}", "%{{TIME_NOW}}", "%{%{a}}", "%{", "}", "%%{a}", "%{{a}", "%{a}}", "%{{{a}}}"][..]
        )
        .prop_map(str::to_owned),
    ];
    vec(piece, 0..5).prop_map(|pieces| pieces.concat()).boxed()
}

/// A pattern of letters of Joda or java.time, quoted texts, and what is neither.
pub(crate) fn date_pattern() -> BoxedStrategy<String> {
    let count = prop_oneof![8 => 1..6_usize, 1 => 6..20_usize, 1 => 100..300_usize];
    let letters_of_dates = select("GCxYyMwWeEDdFaKhHkmsSnNAZzVXOuqQLcgp".chars().collect::<Vec<_>>());
    let run = (letters_of_dates, count).prop_map(|(letter, count)| letter.to_string().repeat(count));
    let piece = prop_oneof![
        10 => run,
        2 => select(&["yyyy", "MM", "dd", "HH", "mm", "ss", "SSS", "-", "/", ":", ".", "'T'", " "][..]).prop_map(str::to_owned),
        1 => select(&["''", "'", "'it''s'", "[", "]", "{", "#", "%", "é", "'😀'", "b", "J", "1"][..]).prop_map(str::to_owned),
    ];
    vec(piece, 1..8).prop_map(|pieces| pieces.concat()).boxed()
}

/// A name of a time zone, or nearly.
pub(crate) fn zone() -> BoxedStrategy<String> {
    let known = select(
        &[
            "UTC",
            "Asia/Tokyo",
            "Europe/Paris",
            "America/New_York",
            "America/Sao_Paulo",
            "Australia/Lord_Howe",
            "Africa/Monrovia",
            "Asia/Kathmandu",
            "Pacific/Apia",
            "Europe/Dublin",
            "EST",
            "CET",
            "EST5EDT",
            "GMT",
            "Etc/GMT+12",
            "Antarctica/Troll",
            "Africa/Casablanca",
            "America/Caracas",
        ][..],
    );
    let offset =
        select(&["+09:00", "-0330", "+00:00", "Z", "+23:59", "+24:00", "-99:99", "+9", "+01:02:03.004"][..]);
    let wrong = select(
        &["", "Tokyo", "asia/tokyo", "Mars/Olympus", "%{a}", "%{[a][b]}", "%{", "UTC+1", "😀", "JST"][..],
    );
    prop_oneof![6 => known, 2 => offset, 1 => wrong].prop_map(str::to_owned).boxed()
}

/// A language, or nearly.
pub(crate) fn locale() -> BoxedStrategy<String> {
    select(
        &[
            "en", "fr", "fr-CA", "de", "ja-JP", "pt_BR", "es", "it", "zh", "ar", "xx", "", "en-US-x", "é",
            "ru-RU",
        ][..],
    )
    .prop_map(str::to_owned)
    .boxed()
}

/// Adds the host's options to some, and to a few an option that is of another kind or has another name.
pub(crate) fn with_common(
    options: BoxedStrategy<Map<String, Json>>,
    names: &'static [&'static str],
) -> BoxedStrategy<Map<String, Json>> {
    let templates = || template().prop_map(Json::from).boxed();
    let list = || vec(template(), 0..3).prop_map(Json::from);
    let names_of_fields = || prop_oneof![4 => reference(), 1 => template()].boxed();
    let common = (
        weighted(0.7, table(names_of_fields(), prop_oneof![4 => templates(), 1 => value()].boxed(), 3)),
        weighted(0.5, vec(names_of_fields(), 0..3).prop_map(Json::from)),
        weighted(0.5, list()),
        weighted(0.3, list()),
        weighted(0.3, select(&["tag", "drop", "dead_letter"][..]).prop_map(Json::from)),
    )
        .prop_map(|(add_field, remove_field, add_tag, remove_tag, on_error)| {
            [
                ("add_field", add_field),
                ("remove_field", remove_field),
                ("add_tag", add_tag),
                ("remove_tag", remove_tag),
                ("on_error", on_error),
            ]
        });
    let odd = (prop_oneof![8 => select(names).prop_map(str::to_owned), 1 => name()], value());
    let when = condition().prop_map(Json::from);
    (options, weighted(0.25, common), weighted(0.05, when), weighted(0.05, odd))
        .prop_map(|(mut options, common, when, odd)| {
            for (name, value) in common.into_iter().flatten() {
                options.extend(value.map(|value| (name.to_owned(), value)));
            }
            options.extend(when.map(|when| ("when".to_owned(), when)));
            options.extend(odd);
            options
        })
        .boxed()
}

/// Options of which each is there with a probability.
pub(crate) fn some_of(
    options: Vec<(&'static str, f64, BoxedStrategy<Json>)>,
) -> BoxedStrategy<Map<String, Json>> {
    let mut some: Vec<BoxedStrategy<Option<(String, Json)>>> = Vec::new();
    for (name, probability, value) in options {
        some.push(weighted(probability, value.prop_map(move |value| (name.to_owned(), value))).boxed());
    }
    some.prop_map(|options| options.into_iter().flatten().collect()).boxed()
}

/// `true`, `false`, or the same as a text.
pub(crate) fn boolean() -> BoxedStrategy<Json> {
    prop_oneof![any::<bool>().prop_map(Json::from), select(&["true", "false"][..]).prop_map(Json::from)]
        .boxed()
}
