//! What the ledger says once a process has ended, against what is stored: the invariants `nothing_ahead` and
//! `closed_in_order`. A copy of the file is read, so the next process finds what the last one left.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use weir::input::cloudwatch_logs::recorded::{RecordedQuestion, RecordedWindows, recorded};
use weir::ledger::{InputLedger, Ledger};
use weir::output::elasticsearch::lookup::document_id;

use crate::world::{GROUPS, World};

/// The input's name in the ledger.
const INPUT: &str = "cloudwatch_logs";

/// Looks after each process.
#[derive(Default)]
pub(crate) struct LedgerWatch {
    /// The windows of each group as they were last.
    windows: BTreeMap<&'static str, RecordedWindows>,
    /// Ids that are in the ledger, and in no document.
    pub(crate) ahead: Vec<String>,
    /// Windows that were closed before they settled, or went back.
    pub(crate) out_of_order: Vec<String>,
    /// Files that were set aside as damaged.
    set_aside: usize,
}

impl LedgerWatch {
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) fn look(&mut self, state_dir: &Path, world: &World) -> Result<(), String> {
        let files = ["ledger.redb", "ledger.lock"];
        // A process that is killed soon enough makes none.
        if files.iter().any(|name| !state_dir.join(name).exists()) {
            return Ok(());
        }
        self.look_for_damage(state_dir)?;
        let copy = state_dir.join("copy");
        let _ = fs::remove_dir_all(&copy);
        fs::create_dir(&copy).map_err(|error| error.to_string())?;
        for name in files {
            fs::copy(state_dir.join(name), copy.join(name)).map_err(|error| error.to_string())?;
        }
        let describe = |error: anyhow::Error| format!("the ledger cannot be read: {error:#}");
        let ledger = match Ledger::open_to_read(&copy) {
            Ok(Some(ledger)) => ledger,
            Ok(None) => return Ok(()),
            // A process that was killed while it made its ledger leaves a beginning of one, in which nothing was committed.
            Err(_) if self.windows.is_empty() => return Ok(()),
            Err(error) => return Err(format!("{}; {}", describe(error), keep(state_dir))),
        };
        let ledger = ledger.input(INPUT);
        self.look_at_ids(&ledger, world).map_err(describe)?;
        self.look_at_windows(&ledger).map_err(describe)
    }

    /// A kill may cut off the making of a ledger, never one that has commits.
    fn look_for_damage(&mut self, state_dir: &Path) -> Result<(), String> {
        let names = fs::read_dir(state_dir).map_err(|error| error.to_string())?;
        let set_aside =
            names.flatten().filter(|entry| entry.file_name().to_string_lossy().contains(".damaged-")).count();
        if set_aside > self.set_aside && !self.windows.is_empty() {
            return Err(format!("a kill damaged the ledger; {}", keep(state_dir)));
        }
        self.set_aside = set_aside;
        Ok(())
    }

    fn look_at_ids(&mut self, ledger: &InputLedger, world: &World) -> anyhow::Result<()> {
        let mut ids = Vec::new();
        for (_, value) in ledger.range(b"i".as_slice()..b"j".as_slice())? {
            ids.extend(value.as_chunks().0.iter().map(|id| document_id(u128::from_be_bytes(*id))));
        }
        self.ahead.extend(world.elasticsearch.missing(ids));
        Ok(())
    }

    fn look_at_windows(&mut self, ledger: &InputLedger) -> anyhow::Result<()> {
        for group in GROUPS {
            let source = format!("us-east-1/{group}");
            let question =
                RecordedQuestion { input: INPUT.to_owned(), source, ..RecordedQuestion::default() };
            let Some(now) = recorded(ledger, &question)?.windows else { continue };
            let before = self.windows.insert(group, now);
            let goes_back = before.is_some_and(|before| {
                now.closed_to < before.closed_to || now.settling_to < before.settling_to
            });
            if goes_back || now.closed_to > now.settling_to {
                self.out_of_order.push(format!("{group}: {now:?} after {before:?}"));
            }
        }
        Ok(())
    }
}

/// Keeps the state of a process that is to be looked at by somebody, and says where.
fn keep(state_dir: &Path) -> String {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("broken-ledger-{}", std::process::id()));
    let copied = fs::create_dir_all(&kept).and_then(|()| {
        for entry in fs::read_dir(state_dir)?.flatten().filter(|entry| entry.path().is_file()) {
            fs::copy(entry.path(), kept.join(entry.file_name()))?;
        }
        Ok(())
    });
    match copied {
        Ok(()) => format!("its files are in {}", kept.display()),
        Err(error) => format!("its files could not be kept: {error}"),
    }
}
