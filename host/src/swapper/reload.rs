//! The pipeline file read again: filters that were added, removed, moved or changed become one new version of the chain.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{SwapOutcome, Swapper, lock};
use crate::assembly;
use crate::config::{self, Component, Config, Problems, Variables};
use crate::filter::swap::{CandidateCases, LoadedComponent};
use crate::filter::{ChainEnvironment, ChainSource};

impl Swapper {
    /// Reads the pipeline file again, with the components that it names, and puts what it says in place. `None`: it says
    /// what is there already. Blocks.
    ///
    /// # Errors
    /// Every mistake in the file; what needs a restart, by name; why a filter was refused. The filters are as they were.
    pub fn reload(&self, say: &dyn Fn(&str)) -> Result<Option<SwapOutcome>> {
        let mut is_same = false;
        let outcome = self.change("the pipeline file", say, |say| {
            say("reading the file");
            let (config, environment) = self.read_again()?;
            let source = ChainSource { filters: config.filters.clone(), steps: config.steps.clone() };
            say("reading and compiling the components");
            let loaded = self.load_all(&source)?;
            if self.is_in_place(&source, &environment, &loaded) {
                is_same = true;
                lock(&self.read).0 = config;
                return Ok(SwapOutcome {
                    done: "it says what is in place".to_owned(),
                    ..SwapOutcome::default()
                });
            }
            say("configuring the filters");
            let built = self.chain.build(&self.engine, source, &environment, &loaded, &[]);
            let candidate = built.map_err(|found| {
                let mut problems = Problems::new(self.secrets.clone());
                for problem in found {
                    if let Some(step) = config.filters.get(problem.step) {
                        problems.push(config.filter_problem(
                            step,
                            &problem.pointer,
                            &problem.message,
                            &problem.fix,
                        ));
                    }
                }
                problems.sort();
                anyhow::anyhow!("{}", problems.render(false).trim_end())
            })?;
            let mut cases = 0;
            for (number, loaded) in &loaded {
                if self.runs_already(loaded) {
                    continue;
                }
                let from = cases_beside(loaded);
                let id = config.filters.get(*number).map_or("", |step| step.id.as_str());
                cases += self.run_cases(loaded, &from, say).with_context(|| format!("filter {id}"))?;
            }
            let trial = self.trial_of(&config);
            let outcome = self.try_and_switch(&candidate, &trial, cases, say)?;
            *lock(&self.read) = (config, environment);
            Ok(outcome)
        })?;
        Ok((!is_same).then_some(outcome))
    }

    /// Files that the chain depends on: the pipeline file, the components, and the cases beside these.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files = vec![self.file.clone()];
        let read = lock(&self.read);
        for step in &read.0.filters {
            let Component::File(path) = &step.component else { continue };
            if files.contains(path) {
                continue;
            }
            files.push(path.clone());
            let folder = cases_folder(path).and_then(|folder| std::fs::read_dir(folder).ok());
            let mut cases: Vec<PathBuf> =
                folder.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
            cases.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
            cases.sort();
            files.extend(cases);
        }
        files
    }

    fn read_again(&self) -> Result<(Config, ChainEnvironment)> {
        let reading = config::read_file(&self.file, &Variables::from_environment(), &self.secrets)
            .with_context(|| format!("cannot read {}", self.file.display()))?;
        let Some(config) = reading.config.filter(|_| reading.problems.errors() == 0) else {
            bail!("{}", reading.problems.render(false).trim_end());
        };
        let fixed = need_a_restart(&lock(&self.read).0, &config);
        if !fixed.is_empty() {
            bail!("{} changed, which needs a restart; until then, change only filters", fixed.join(", "));
        }
        let environment = assembly::environment(&config);
        Ok((config, environment))
    }

    /// Every file is read once, however many filters name it.
    fn load_all(&self, source: &ChainSource) -> Result<Vec<(usize, LoadedComponent)>> {
        let mut loaded: Vec<(usize, LoadedComponent)> = Vec::new();
        for (number, step) in source.filters.iter().enumerate() {
            let earlier = loaded.iter().find(|(_, other)| *other.component() == step.component);
            let component = match earlier {
                Some((_, earlier)) => earlier.clone(),
                None => {
                    let named = || format!("filter {}", step.id);
                    self.engine.load_candidate(&step.component).with_context(named)?
                }
            };
            loaded.push((number, component));
        }
        Ok(loaded)
    }

    fn is_in_place(
        &self,
        source: &ChainSource,
        environment: &ChainEnvironment,
        loaded: &[(usize, LoadedComponent)],
    ) -> bool {
        let current = self.chain.current();
        let now = current.definition.source();
        let told = |environment: &ChainEnvironment| format!("{environment:?}");
        let filters = current.definition.filters();
        told(&lock(&self.read).1) == told(environment)
            && format!("{:?}", now.steps) == format!("{:?}", source.steps)
            && now.filters.len() == source.filters.len()
            && now.filters.iter().zip(&source.filters).all(|(now, new)| now.is_same_as(new))
            && filters.iter().zip(loaded).all(|(filter, (_, loaded))| filter.digest() == loaded.digest())
    }

    fn runs_already(&self, loaded: &LoadedComponent) -> bool {
        let current = self.chain.current();
        current.definition.filters().iter().any(|filter| filter.digest() == loaded.digest())
    }

    fn trial_of(&self, config: &Config) -> super::Trial {
        let swap = config.pipeline.swap;
        super::Trial {
            rules: crate::filter::swap::WatchRules { watch: swap.watch, failure_rate: swap.failure_rate },
            ..self.trial(Some(swap.shadow), Some(swap.shadow_limit))
        }
    }
}

/// A component without cases of its own may have some beside it, as for `weir test`.
fn cases_beside(loaded: &LoadedComponent) -> CandidateCases {
    let beside = match loaded.component() {
        Component::File(path) if !loaded.has_cases() => cases_folder(path),
        _ => None,
    };
    let has_files = |folder: &PathBuf| {
        std::fs::read_dir(folder).is_ok_and(|mut entries| {
            entries
                .any(|entry| entry.is_ok_and(|entry| entry.path().extension().is_some_and(|e| e == "toml")))
        })
    };
    beside.filter(has_files).map_or(CandidateCases::Embedded, CandidateCases::Folder)
}

fn cases_folder(component: &Path) -> Option<PathBuf> {
    Some(component.parent()?.join("cases"))
}

/// What is different and cannot be changed while the pipeline runs.
fn need_a_restart(now: &Config, new: &Config) -> Vec<String> {
    let mut found = Vec::new();
    let mut check = |name: &str, now: String, new: String| {
        if now != new {
            found.push(name.to_owned());
        }
    };
    check("[input]", format!("{:?}", now.inputs), format!("{:?}", new.inputs));
    check("[output]", format!("{:?}", now.outputs), format!("{:?}", new.outputs));
    check("[observe]", format!("{:?}", now.observe), format!("{:?}", new.observe));
    let (now, new) = (&now.pipeline, &new.pipeline);
    check("name", now.name.clone(), new.name.clone());
    check("state_dir", format!("{:?}", now.state_dir), format!("{:?}", new.state_dir));
    check("ledger_budget", now.ledger_budget.to_string(), new.ledger_budget.to_string());
    check("batch_size", now.batch_size.to_string(), new.batch_size.to_string());
    check("batch_delay", format!("{:?}", now.batch_delay), format!("{:?}", new.batch_delay));
    check("drain_limit", format!("{:?}", now.drain_limit), format!("{:?}", new.drain_limit));
    check("workers", now.workers.to_string(), new.workers.to_string());
    check("dead_letter", format!("{:?}", now.dead_letter), format!("{:?}", new.dead_letter));
    found
}
