//! What sandboxes cost: four filters, each a component in a sandbox of its own, against the code of the same four filters
//! linked into this program and working on the same kind of columns. The native side has no boundary: columns are handed over,
//! not copied; an answer's text is put behind the batch's, which is where its places say that it lies.

use anyhow::{Context, Result, anyhow, bail};
use serde_json::json;
use weir::filter::Chain;
use weir_date::Date;
use weir_dissect::Dissect;
use weir_filter::boundary::columns::{Answer, Batch, Column, Numbers, Texts};
use weir_filter::boundary::exported::{Access, Plan};
use weir_filter::component::Component;
use weir_filter::{Environment, FieldReference, Filter, Value};
use weir_fingerprint::Fingerprint;
use weir_local_time::LocalTime;

use crate::chain::{self, Filters};
use crate::measure::{self, thread_time};
use crate::table::{self, Spread};
use crate::{Setting, pipeline_file};

const BATCH: usize = 1024;
const BATCHES: usize = 64;

/// Measures and prints.
pub(crate) fn run(setting: &Setting) -> Result<()> {
    measure::pin()?;
    let text = std::fs::read_to_string(setting.lines_file((BATCH * BATCHES) as u64)?)?;
    let lines: Vec<&str> = text.lines().collect();
    let [dissect, date, local_time, _, fingerprint, _] = pipeline_file::route53_filters(&setting.database()?);
    let filters = Filters::new(setting, &[dissect, date, local_time, fingerprint].concat(), 0)?;
    let batches: Vec<_> = lines.chunks(BATCH).map(|lines| filters.batch(lines)).collect();
    let natives: Vec<Columns> = lines.chunks(BATCH).map(Columns::of_lines).collect();
    let mut chain = filters.start()?;
    let mut linked = Linked::new()?;
    check_equal(&mut chain, &batches[0], &mut linked, &natives[0])?;

    let (mut sandboxed, mut native) = (Vec::new(), Vec::new());
    for _ in 0..setting.rounds * 4 {
        native.push(pass_natively(&mut linked, &natives)? / lines.len() as f64);
        let (time, _) = chain::pass(&mut chain, &batches)?;
        sandboxed.push(chain::for_each(time, &batches));
    }
    let row =
        |name: &str, figures: &[f64]| vec![name.to_owned(), Spread::of(figures.iter().copied()).text(1.0, 0)];
    let ratios: Vec<f64> =
        sandboxed.iter().zip(&native).map(|(sandboxed, native)| sandboxed / native).collect();
    let rows = [
        vec![String::new(), "ns an event".to_owned()],
        row("four sandboxes", &sandboxed),
        row("the same code linked natively", &native),
    ];
    table::print("dissect, date, local-time, fingerprint at batch 1024", &rows);
    println!("\nsandboxes / native: {}", Spread::of(ratios).text(1.0, 2));
    Ok(())
}

/// Columns over one text, by the numbers that [`Linked`] gives to fields.
#[derive(Clone)]
struct Columns {
    rows: u32,
    text: String,
    columns: Vec<Column>,
}

impl Columns {
    fn of_lines(lines: &[&str]) -> Self {
        let mut text = String::new();
        let mut texts = Texts::default();
        for line in lines {
            texts.starts.push(text.len() as u32);
            texts.lens.push(line.len() as u32);
            text.push_str(line);
        }
        let values = vec![1_767_225_600_000_000_000; lines.len()];
        let timestamps = Column::Timestamp(Numbers { values, present: Vec::new() });
        Columns { rows: lines.len() as u32, text, columns: vec![Column::Text(texts), timestamps] }
    }

    fn value(&self, column: usize, row: usize) -> Option<Value<'_>> {
        let present = |bits: &[u8]| bits.is_empty() || bits[row / 8] >> (row % 8) & 1 == 1;
        match self.columns.get(column)? {
            Column::Text(texts) if texts.lens[row] != u32::MAX => {
                let (start, length) = (texts.starts[row] as usize, texts.lens[row] as usize);
                Some(Value::Text(&self.text[start..start + length]))
            }
            Column::Timestamp(numbers) if present(&numbers.present) => {
                Some(Value::Timestamp(numbers.values[row]))
            }
            Column::Integer(numbers) if present(&numbers.present) => {
                Some(Value::Integer(numbers.values[row]))
            }
            _ => None,
        }
    }
}

/// The four filters, linked.
struct Linked {
    filters: Vec<LinkedFilter>,
    /// The columns by their numbers.
    fields: Vec<Vec<String>>,
}

/// Works on a batch with this text.
type Process = dyn FnMut(&str, &Batch) -> Answer;

struct LinkedFilter {
    process: Box<Process>,
    /// The number of the column of each field of its plan, and whether it reads it.
    fields: Vec<(usize, bool)>,
}

impl Linked {
    fn new() -> Result<Self> {
        let fields = vec![vec!["message".to_owned()], vec!["@timestamp".to_owned()]];
        let mut linked = Linked { filters: Vec::new(), fields };
        linked.link::<Dissect>(&json!({"mapping": {"message": pipeline_file::MAPPING}}))?;
        linked.link::<Date>(
            &json!({"match": ["timestamp", "ISO8601"], "timezone": "Asia/Tokyo", "target": "@timestamp"}),
        )?;
        linked.link::<LocalTime>(&json!({"source": "@timestamp", "target": "[@metadata][local_time]", "format": "%Y-%m-%d", "timezone": "Asia/Tokyo"}))?;
        linked.link::<Fingerprint>(
            &json!({"source": ["message"], "target": "[@metadata][fingerprint]", "method": "MURMUR3"}),
        )?;
        Ok(linked)
    }

    fn link<F: Filter>(&mut self, options: &serde_json::Value) -> Result<()> {
        let (mut component, plan) = Component::<F>::configure(&options.to_string(), Environment::default())
            .map_err(|problems| anyhow!("{}: {problems:?}", F::NAME))?;
        let Plan { fields: planned, steps, .. } = plan;
        if steps != 1 {
            bail!("{} has {steps} steps", F::NAME);
        }
        let mut fields = Vec::new();
        for field in planned {
            let known = self.fields.iter().position(|path| *path == field.path);
            let number = known.unwrap_or_else(|| {
                self.fields.push(field.path);
                self.fields.len() - 1
            });
            fields.push((number, field.access.contains(Access::READ)));
        }
        let process = Box::new(move |text: &str, batch: &Batch| component.process(0, text, batch));
        self.filters.push(LinkedFilter { process, fields });
        Ok(())
    }

    fn pass(&mut self, batch: &mut Columns) -> Result<()> {
        batch.columns.resize(self.fields.len(), Column::Absent);
        for filter in &mut self.filters {
            let read = || filter.fields.iter().filter(|(_, read)| *read).map(|(number, _)| *number);
            // The columns go to the filter and come back; none is copied.
            let take = |number: usize| std::mem::replace(&mut batch.columns[number], Column::Absent);
            let columns = read().map(take).collect();
            let sent = Batch { rows: batch.rows, text: Vec::new(), columns, others: Vec::new() };
            let answer = (filter.process)(&batch.text, &sent);
            for (number, column) in read().zip(sent.columns) {
                batch.columns[number] = column;
            }
            let own_text = String::from_utf8(answer.text)?;
            batch.text.push_str(&own_text);
            for (field, column) in answer.sets {
                let (number, _) = filter.fields.get(field as usize).context("a set of no planned field")?;
                batch.columns[*number] = column;
            }
            if !answer.removes.is_empty() || !answer.drops.is_empty() || !answer.adds.is_empty() {
                bail!("only what sets fields of every row can be linked so simply");
            }
        }
        Ok(())
    }
}

/// Passes copies of the batches through the linked filters; answers the nanoseconds that it took.
fn pass_natively(linked: &mut Linked, batches: &[Columns]) -> Result<f64> {
    let copies = batches.to_vec();
    let began = thread_time();
    for mut batch in copies {
        linked.pass(&mut batch)?;
    }
    Ok((thread_time() - began).as_nanos() as f64)
}

/// Both sides make the same of a batch, in every field that a filter knows.
fn check_equal(
    chain: &mut Chain,
    batch: &weir::event::Batch,
    linked: &mut Linked,
    native: &Columns,
) -> Result<()> {
    let (_, sandboxed) = chain::pass(chain, std::slice::from_ref(batch))?;
    let sandboxed = sandboxed.context("a batch comes out")?;
    let mut native = native.clone();
    linked.pass(&mut native)?;
    let mut values = 0;
    for (number, path) in linked.fields.iter().enumerate() {
        let reference = FieldReference::from_fragments(path.iter().map(String::as_str));
        let field = sandboxed.names().get(&reference);
        for row in 0..sandboxed.rows() {
            let ours = field.and_then(|field| sandboxed.value(row, field));
            let theirs = native.value(number, row);
            if ours != theirs {
                bail!("row {row}, {reference}: {ours:?} of the sandboxes, {theirs:?} natively");
            }
            values += usize::from(ours.is_some());
        }
    }
    if values < 13 * sandboxed.rows() {
        bail!("only {values} values of {} events were compared", sandboxed.rows());
    }
    Ok(())
}
