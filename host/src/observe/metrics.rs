//! Figures as Prometheus reads them (text format 0.0.4). Every name has its HELP and TYPE; the number of series is bounded
//! by what the figures bound. Serving the text is left to `server`.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::figures::{FilterFigures, PipelineFigures};

/// Writes the figures of pipelines, whose names differ.
pub fn write_metrics(pipelines: &[PipelineFigures]) -> String {
    let mut metrics = Metrics::default();
    for pipeline in pipelines {
        let of_pipeline = [("pipeline", pipeline.pipeline.as_str())];
        add_events(&mut metrics, pipeline, &of_pipeline);
        add_ends(&mut metrics, pipeline, &of_pipeline);
        add_swaps(&mut metrics, pipeline, &of_pipeline);
        for filter in pipeline.filters.iter().chain(&pipeline.branches) {
            add_filter(&mut metrics, filter, &[of_pipeline[0], ("filter", &filter.id)]);
        }
    }
    if let Some(first) = pipelines.first() {
        let version = [("version", first.version.as_str())];
        metrics.gauge("weir_build_info", "Always 1; the version of Weir.", &version, 1.0);
        if let Some(bytes) = first.resident_bytes {
            let help = "What the process has in memory.";
            metrics.gauge("weir_resident_memory_bytes", help, &[], bytes as f64);
        }
    }
    metrics.into_text()
}

type Labels<'l> = &'l [(&'l str, &'l str)];

fn add_events(metrics: &mut Metrics, pipeline: &PipelineFigures, labels: Labels<'_>) {
    let events = &pipeline.events;
    metrics.counter("weir_events_added_total", "Events that filters added.", labels, events.added as f64);
    let help = "Events that several outputs took: once for each of these but the first.";
    metrics.counter("weir_events_copied_total", help, labels, events.copied as f64);
    let help = "Events on their way.";
    metrics.gauge("weir_events_in_flight", help, labels, events.in_flight as f64);
    let help = "Whether read + added + copied = delivered + dead_lettered + dropped + in flight (1).";
    metrics.gauge("weir_events_balanced", help, labels, if events.balanced { 1.0 } else { 0.0 });
    let help = "Events read whose position is not in the ledger yet.";
    metrics.gauge("weir_events_unacknowledged", help, labels, events.unacknowledged as f64);
    let help = "How long ago the oldest unacknowledged event was read; 0 without one.";
    let oldest = pipeline.oldest_unacknowledged_seconds.unwrap_or(0.0);
    metrics.gauge("weir_oldest_unacknowledged_seconds", help, labels, oldest);
    if let Some(seconds) = pipeline.last_commit_seconds {
        let help = "How long ago a position was committed last.";
        metrics.gauge("weir_last_commit_seconds", help, labels, seconds);
    }
    let help = "Dead letters that were removed again, unread, for want of room or for their age.";
    let removed = pipeline.dead_letters_removed as f64;
    metrics.counter("weir_dead_letters_removed_total", help, labels, removed);
    metrics.gauge("weir_uptime_seconds", "How long ago the pipeline was started.", labels, pipeline.seconds);
    let help = "Whether the pipeline runs (1), or starts, drains or has ended (0).";
    let running = if pipeline.stage == "running" { 1.0 } else { 0.0 };
    metrics.gauge("weir_pipeline_running", help, labels, running);
    for (name, help, left) in [
        (
            "weir_events_dead_lettered_total",
            "Events set aside, by place and reason.",
            &pipeline.dead_lettered,
        ),
        ("weir_events_dropped_total", "Events dropped by a rule, by place and reason.", &pipeline.dropped),
    ] {
        for left in left {
            let labels = [labels, &[("place", &*left.place), ("reason", &*left.reason)]].concat();
            metrics.counter(name, help, &labels, left.events as f64);
        }
    }
}

fn add_ends(metrics: &mut Metrics, pipeline: &PipelineFigures, labels: Labels<'_>) {
    for input in &pipeline.inputs {
        let labels = [labels, &[("input", &*input.name)]].concat();
        metrics.counter("weir_events_read_total", "Events read.", &labels, input.read as f64);
        for figure in &input.figures {
            let own = figure.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let labels: Vec<_> = labels.iter().copied().chain(own).collect();
            match (figure.name.as_str(), figure.grows) {
                ("lag_seconds", _) => metrics.gauge("weir_lag_seconds", &figure.help, &labels, figure.value),
                (name, true) => {
                    let name = format!("weir_input_{name}_total");
                    metrics.counter(&name, &figure.help, &labels, figure.value);
                }
                (name, false) => {
                    metrics.gauge(&format!("weir_input_{name}"), &figure.help, &labels, figure.value)
                }
            }
        }
        if input.left_out > 0 {
            let help = "Figures of the input that are not shown, since they are too many.";
            metrics.gauge("weir_input_figures_left_out", help, &labels, input.left_out as f64);
        }
    }
    for output in &pipeline.outputs {
        let labels = [labels, &[("output", &*output.name)]].concat();
        let help = "Events stored, or found stored.";
        metrics.counter("weir_events_delivered_total", help, &labels, output.delivered as f64);
        let help = "Events that an output has and has not answered.";
        metrics.gauge("weir_output_events_in_flight", help, &labels, output.in_flight as f64);
    }
    for wait in &pipeline.waiting {
        let labels = [labels, &[("what", &*wait.what)]].concat();
        let help = "How long something has been waited for; `weir status` says why.";
        metrics.gauge("weir_waiting_seconds", help, &labels, wait.seconds);
    }
}

fn add_swaps(metrics: &mut Metrics, pipeline: &PipelineFigures, labels: Labels<'_>) {
    let swaps = &pipeline.swaps;
    for (name, help, count) in [
        ("weir_swaps_total", "Versions of the filters that were put in place.", swaps.swaps),
        ("weir_swaps_refused_total", "Changes of the filters that were refused.", swaps.refused),
        ("weir_swap_returns_total", "Versions that were taken back by themselves.", swaps.returns),
    ] {
        metrics.counter(name, help, labels, count as f64);
    }
    let help = "Whether a change of the filters is under way (1).";
    metrics.gauge("weir_swap_running", help, labels, if swaps.running.is_some() { 1.0 } else { 0.0 });
    let help = "How long 99 of 100 batches waited at most that may have waited because of a swap.";
    metrics.gauge("weir_swap_pause_99_seconds", help, labels, swaps.pause_99_seconds);
}

fn add_filter(metrics: &mut Metrics, filter: &FilterFigures, labels: Labels<'_>) {
    for (name, help, count) in [
        ("weir_filter_events_total", "Events that entered the filter.", filter.events),
        ("weir_filter_matched_total", "Events on which the filter did its work.", filter.matched),
        ("weir_filter_tagged_total", "Events on which it did what it could.", filter.tagged),
        ("weir_filter_failed_total", "Events on which it failed.", filter.failed),
        ("weir_filter_dropped_total", "Events that left there by a rule.", filter.dropped),
        ("weir_filter_added_total", "Events that it added.", filter.added),
        ("weir_filter_dead_lettered_total", "Events that were set aside there.", filter.dead_lettered),
        ("weir_filter_breaks_total", "How often the guest broke and was started anew.", filter.breaks),
    ] {
        metrics.counter(name, help, labels, count as f64);
    }
    let help = "Time spent in the filter, of all workers together.";
    metrics.counter("weir_filter_seconds_total", help, labels, filter.seconds);
    if let Some(nanoseconds) = filter.nanoseconds_per_event {
        let help = "The same for an event, since the start.";
        metrics.gauge("weir_filter_seconds_per_event", help, labels, nanoseconds / 1e9);
    }
    for (name, help, label, counts) in [
        ("weir_filter_reasons_total", "Failures and breaks by reason.", "reason", &filter.reasons),
        ("weir_filter_counters_total", "What the guest counts itself.", "counter", &filter.counters),
    ] {
        for (value, count) in counts {
            let labels = [labels, &[(label, value.as_str())]].concat();
            metrics.counter(name, help, &labels, *count as f64);
        }
    }
    if !filter.digest.is_empty() {
        let about = [("use", &*filter.used), ("version", &*filter.version), ("digest", &*filter.digest)];
        let labels = [labels, &about].concat();
        metrics.gauge("weir_filter_info", "Always 1; which component the filter is.", &labels, 1.0);
    }
}

/// Families of series: the lines of one name must stand together.
#[derive(Default)]
struct Metrics {
    families: BTreeMap<String, String>,
}

impl Metrics {
    fn counter(&mut self, name: &str, help: &str, labels: Labels<'_>, value: f64) {
        self.add(name, "counter", help, labels, value);
    }

    fn gauge(&mut self, name: &str, help: &str, labels: Labels<'_>, value: f64) {
        self.add(name, "gauge", help, labels, value);
    }

    fn add(&mut self, name: &str, kind: &str, help: &str, labels: Labels<'_>, value: f64) {
        let family = self.families.entry(name.to_owned()).or_insert_with(|| {
            let help = help.replace('\\', "\\\\").replace('\n', "\\n");
            format!("# HELP {name} {help}\n# TYPE {name} {kind}\n")
        });
        family.push_str(name);
        for (number, (label, text)) in labels.iter().enumerate() {
            family.push(if number == 0 { '{' } else { ',' });
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            // Writing to a text does not fail.
            let _ = write!(family, "{label}=\"{text}\"");
        }
        if !labels.is_empty() {
            family.push('}');
        }
        let _ = writeln!(family, " {value}");
    }

    fn into_text(self) -> String {
        self.families.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::figures::{InputFigure, InputFigures, Left, OutputFigures, WaitFigures};
    use crate::swapper::SwapFigures;

    #[test]
    fn families_stand_together_and_labels_are_escaped() {
        let pipeline = |name: &str| PipelineFigures {
            pipeline: name.to_owned(),
            outputs: vec![OutputFigures { name: "out".to_owned(), delivered: 7, ..OutputFigures::default() }],
            dead_lettered: vec![Left {
                place: "out".to_owned(),
                reason: "a \"b\"\n\\".to_owned(),
                events: 2,
            }],
            inputs: vec![InputFigures {
                name: "in".to_owned(),
                figures: vec![InputFigure {
                    name: "lag_seconds".to_owned(),
                    help: "How far.".to_owned(),
                    labels: [("log_group".to_owned(), "/aws/x".to_owned())].into(),
                    value: 1.5,
                    ..InputFigure::default()
                }],
                ..InputFigures::default()
            }],
            dead_letters_removed: 4,
            waiting: vec![WaitFigures { what: "out".to_owned(), seconds: 3.0, ..WaitFigures::default() }],
            swaps: SwapFigures {
                swaps: 3,
                running: Some("filter date: running its cases".to_owned()),
                pause_99_seconds: 0.0005,
                ..SwapFigures::default()
            },
            filters: vec![FilterFigures { id: "date".to_owned(), seconds: 0.25, ..FilterFigures::default() }],
            ..PipelineFigures::default()
        };
        let text = write_metrics(&[pipeline("one"), pipeline("two")]);
        for line in [
            "# TYPE weir_events_delivered_total counter\nweir_events_delivered_total{pipeline=\"one\",output=\"out\"} 7\n\
             weir_events_delivered_total{pipeline=\"two\",output=\"out\"} 7\n",
            "weir_events_dead_lettered_total{pipeline=\"one\",place=\"out\",reason=\"a \\\"b\\\"\\n\\\\\"} 2\n",
            "# HELP weir_lag_seconds How far.\n# TYPE weir_lag_seconds gauge\n\
             weir_lag_seconds{pipeline=\"one\",input=\"in\",log_group=\"/aws/x\"} 1.5\n",
            "weir_waiting_seconds{pipeline=\"one\",what=\"out\"} 3\n",
            "weir_dead_letters_removed_total{pipeline=\"two\"} 4\n",
            "weir_swaps_total{pipeline=\"one\"} 3\n",
            "weir_swap_running{pipeline=\"one\"} 1\n",
            "weir_swap_pause_99_seconds{pipeline=\"two\"} 0.0005\n",
            "weir_filter_seconds_total{pipeline=\"two\",filter=\"date\"} 0.25\n",
        ] {
            assert!(text.contains(line), "{line}\nis not in\n{text}");
        }
        assert_eq!(text.matches("# HELP weir_events_read_total").count(), 1);
    }
}
