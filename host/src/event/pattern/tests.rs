//! Patterns and replacements against what Ruby itself answered (cases.jsonl and replacements.jsonl, executed by JRuby 9.4.8),
//! and the two ways to run a pattern against each other.

use serde_json::Value as Json;

use super::*;

/// Steps that no case needs.
const ENOUGH: u64 = 1 << 30;

/// The longest text that a case makes.
const LONGEST_TEXT: usize = 1 << 20;

/// The pattern without its automaton.
fn by_steps(pattern: &Pattern, text: &str) -> Pattern {
    let parsed = parse::parse(text).expect("it was read before");
    let program = Program::compile(&parsed.node, parsed.names.len()).expect("it was compiled before");
    let names = pattern.compiled.names.clone();
    Pattern { compiled: Arc::new(Compiled { automaton: None, program, names }) }
}

fn first_match(pattern: &Pattern, text: &str) -> Json {
    let mut found = Found::default();
    if !pattern.find(text, 0, &mut Budget::new(ENOUGH, None), &mut found).expect("few steps") {
        return Json::Null;
    }
    let places = found.groups().iter().map(|group| match group {
        Some(place) => Json::from(vec![place.start, place.end]),
        None => Json::Null,
    });
    places.collect()
}

fn replaced(pattern: &Pattern, text: &str, replacement: &str) -> Result<String, NotReplaced> {
    let mut new = String::new();
    let replacement = Replacement::parse(replacement);
    let (mut budget, mut found) = (Budget::new(ENOUGH, None), Found::default());
    let any = pattern.replace_all(text, &replacement, LONGEST_TEXT, &mut budget, &mut found, &mut new)?;
    Ok(if any { new } else { text.to_owned() })
}

fn lines(file: &str) -> impl Iterator<Item = Json> {
    file.lines().map(|line| serde_json::from_str(line).expect("a case is JSON"))
}

#[test]
fn patterns_match_what_ruby_matches() {
    let mut wrong = Vec::new();
    for case in lines(include_str!("cases.jsonl")) {
        let written = case["pattern"].as_str().expect("a pattern");
        let compiled = Pattern::compile(written);
        if case["refused"] == true {
            wrong.extend(compiled.is_ok().then(|| format!("{written:?} should be refused")));
            continue;
        }
        let text = case["text"].as_str().expect("a text");
        let pattern = match compiled {
            Ok(pattern) => pattern,
            Err(problem) => {
                wrong.push(problem);
                continue;
            }
        };
        for pattern in [by_steps(&pattern, written), pattern] {
            let way = if pattern.compiled.automaton.is_some() { "automaton" } else { "steps" };
            let groups = first_match(&pattern, text);
            let new = replaced(&pattern, text, r"<\0|\1>").expect("nothing is wrong in it");
            if groups != case["groups"] || case["replaced"] != new.as_str() {
                wrong.push(format!("{written:?} by {way}: {groups} {new:?}, expected {case}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} cases are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn replacements_are_what_ruby_makes_of_them() {
    for case in lines(include_str!("replacements.jsonl")) {
        let part = |name: &str| case[name].as_str();
        let pattern = Pattern::compile(part("pattern").expect("a pattern")).expect("it compiles");
        let new =
            replaced(&pattern, part("text").expect("a text"), part("replacement").expect("a replacement"));
        assert_eq!(new.as_deref().ok(), part("replaced"), "{case}: {new:?}");
    }
}

#[test]
fn an_automaton_and_steps_find_the_same() {
    const PARTS: [&str; 24] = [
        "a", "b", "é", ".", "[ab]", "[^a]", r"\w", r"\s", "^", "$", r"\A", r"\z", "(", ")", "(?:", "|", "*",
        "+?", "?", "{1,2}", "{2}", "(?i)", "B", r"\n",
    ];
    let seed: u64 = std::env::var("WEIR_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("WEIR_SEED={seed}");
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut below = |most: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % most
    };
    let mut compared = 0;
    for _ in 0..20_000 {
        let mut written: String = (0..1 + below(8)).map(|_| PARTS[below(PARTS.len())]).collect();
        let open = written.matches('(').count() - written.matches("(?i)").count();
        written.push_str(
            &")".repeat(open.saturating_sub(written.matches(')').count() - written.matches("(?i)").count())),
        );
        let Ok(pattern) = Pattern::compile(&written) else { continue };
        if pattern.compiled.automaton.is_none() {
            continue;
        }
        compared += 1;
        let by_steps = by_steps(&pattern, &written);
        let text: String = (0..below(8)).map(|_| ["a", "b", "A", "é", "\n", " "][below(6)]).collect();
        let (groups, others) = (first_match(&pattern, &text), first_match(&by_steps, &text));
        assert_eq!(groups, others, "{written:?} on {text:?}");
        assert_eq!(
            replaced(&pattern, &text, "<\\1>"),
            replaced(&by_steps, &text, "<\\1>"),
            "{written:?} on {text:?}"
        );
        assert_eq!(pattern.is_match(&text), Ok(!groups.is_null()), "{written:?} on {text:?}");
    }
    assert!(compared > 2000, "only {compared} patterns had an automaton");
}

#[test]
fn what_is_too_much_or_not_supported_is_refused_by_name() {
    let check = |pattern: &str, expected: &str| {
        let problem = Pattern::compile(pattern).expect_err(pattern);
        assert!(problem.contains(expected), "{problem}");
    };
    check(r"(?<n>a)\g<n>", r"\g<…>, the call of a group");
    check("(?~a)", "absent operator");
    check(r"(?<n>a)\k<n+0>", "a reference with a level");
    check(r"\p{InBasicLatin}", r"\p{InBasicLatin}");
    check("(?<=a+)b", "fixed length");
    check("((ab){1000}c){1000}", "too large");
    check("(((a|b){1000}){1000}){1000}", "too large");
    check(&"(".repeat(1000), "nested");
    check(&"[".repeat(1000), "nested");
    check(&"(?i)".repeat(1000), "nested");
    check(&format!("a{}", "?".repeat(1000)), "quantifiers");
    check(&"()".repeat(1000), "groups");
    check(&"a".repeat(100_000), "too long");
    assert!(Pattern::compile("((a{1000})b?){1000}").is_ok());
}

#[test]
fn steps_and_time_are_bounded() {
    for written in ["(?=a)(a|aa)+$(?<!a)", r"(a+)+\1$b", r"(?:(?=(a+))a)*b", r"(.*)(.*)(.*)(.*)\4\3\2\1b"] {
        let pattern = Pattern::compile(written).expect("it compiles");
        assert!(pattern.compiled.automaton.is_none(), "{written}");
        let text = "a".repeat(5000);
        assert_eq!(pattern.is_match(&text), Err(TOO_MANY_STEPS.to_owned()), "{written}");
        let mut budget = Budget::new(u64::MAX, Some(std::time::Instant::now()));
        let given_up = pattern.find(&text, 0, &mut budget, &mut Found::default());
        assert_eq!(given_up, Err(GivenUp::Deadline), "{written}");
    }
    // A text of megabytes is no reason to give up.
    let long = "the quick brown fox ".repeat(100_000);
    for written in [r"(?<=fox )\b(dog)", r"\bfoxes\b", r"(\w)\1\1", r"(?!fox)f"] {
        assert_eq!(Pattern::compile(written).expect("it compiles").is_match(&long), Ok(false), "{written}");
    }
}

#[test]
fn a_text_that_gets_too_long_is_given_up() {
    let check = |pattern: &str, text: &str, replacement: &str, most: usize, gives_up: bool| {
        let pattern = Pattern::compile(pattern).expect("it compiles");
        let replacement = Replacement::parse(replacement);
        let mut new = "before".to_owned();
        let mut budget = Budget::new(ENOUGH, None);
        let answer =
            pattern.replace_all(text, &replacement, most, &mut budget, &mut Found::default(), &mut new);
        if gives_up {
            let is_told = matches!(&answer, Err(NotReplaced::Text(problem)) if problem.contains("longer"));
            assert!(is_told && new == "before", "{answer:?}");
        } else {
            assert!(matches!(answer, Ok(true)) && new.len() <= 6 + most, "{answer:?}");
        }
    };
    check("", &"a".repeat(1000), &"x".repeat(1000), 9999, true);
    // What lies between matches, and after the last one, counts too.
    let between = format!("{}b", "a".repeat(1000));
    check("b", &between, "", 999, true);
    check("b", &between, "", 1000, false);
    check("b", &between, "bb", 1001, true);
    let after = format!("b{}", "a".repeat(1000));
    check("b", &after, "x", 1000, true);
    check("b", &after, "x", 1001, false);
}
