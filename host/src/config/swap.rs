//! `[pipeline] swap = { … }`: how a changed filter is tried, and when the version before it comes back by itself.

use std::time::Duration;

use super::section::Section;

/// The most batches of a shadow run.
const MOST_SHADOW: i64 = 10_000;

/// How filters are changed while the pipeline runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SwapConfig {
    /// Batches of a shadow run.
    pub shadow: usize,
    /// How long a shadow run waits for them.
    pub shadow_limit: Duration,
    /// For how long a new version goes back by itself when it breaks.
    pub watch: Duration,
    /// By how much its share of failures may be above that of the version before, 0 to 1.
    pub failure_rate: f64,
}

impl Default for SwapConfig {
    fn default() -> Self {
        SwapConfig {
            shadow: 8,
            shadow_limit: Duration::from_secs(2),
            watch: Duration::from_secs(3600),
            failure_rate: 0.1,
        }
    }
}

/// Reads `swap` of `[pipeline]`.
pub(super) fn read_swap(pipeline: &mut Section) -> SwapConfig {
    let mut config = SwapConfig::default();
    let Some(mut section) = pipeline.section("swap") else { return config };
    if let Some(shadow) = section.integer_in("shadow", 0..=MOST_SHADOW) {
        config.shadow = usize::try_from(shadow).unwrap_or(config.shadow);
    }
    if let Some(limit) = section.duration("shadow_limit") {
        if limit > Duration::from_secs(300) {
            section.problem("shadow_limit", "`shadow_limit` is out of range", "it must be 5m at most");
        }
        config.shadow_limit = limit;
    }
    if let Some(watch) = section.duration("watch") {
        if watch > Duration::from_secs(30 * 86_400) {
            section.problem("watch", "`watch` is out of range", "it must be 30d at most");
        }
        config.watch = watch;
    }
    if let Some(rate) = section.number("failure_rate") {
        if !(0.0..=1.0).contains(&rate) {
            section.problem("failure_rate", "`failure_rate` is out of range", "it must be from 0 to 1");
        }
        config.failure_rate = rate;
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_has_a_default() {
        let check = |text: &str, expected: Option<SwapConfig>| {
            let mut section = Section::parse(text);
            let config = read_swap(&mut section);
            let problems = section.into_problems();
            match expected {
                Some(expected) => assert_eq!((config, problems.as_slice()), (expected, &[][..]), "{text}"),
                None => assert_eq!(problems.len(), 1, "{text}: {problems:?}"),
            }
        };
        let default = SwapConfig::default();
        check("", Some(default));
        check("swap = { shadow = 0, watch = \"10m\" }", {
            Some(SwapConfig { shadow: 0, watch: Duration::from_secs(600), ..default })
        });
        check("swap.failure_rate = 0.5\nswap.shadow_limit = \"1s\"", {
            Some(SwapConfig { failure_rate: 0.5, shadow_limit: Duration::from_secs(1), ..default })
        });
        for wrong in
            ["shadow = -1", "watch = \"1y\"", "failure_rate = 2", "shadow_limit = \"1h\"", "shadows = 1"]
        {
            check(&format!("swap.{wrong}"), None);
        }
    }
}
