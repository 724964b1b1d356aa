//! What stateful filters keep, on its way from instance to instance: at a swap, and over a clean stop. What the bytes mean
//! only the guest knows.

use anyhow::{Context, Result, bail};

use crate::filter::chain::Chain;

/// What one filter keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedState {
    /// The filter's id.
    pub filter: String,
    /// The version of the state, by the guest that saved it.
    pub version: u32,
    /// The state.
    pub state: Vec<u8>,
}

impl Chain {
    /// Asks all stateful filters for what they keep. The second: filters that did not give it, and why; what they kept is
    /// lost.
    pub(in crate::filter) fn save(&mut self) -> (Vec<SavedState>, Vec<String>) {
        let (mut states, mut lost) = (Vec::new(), Vec::new());
        for running in self.running() {
            if !running.configured().stateful {
                continue;
            }
            let saved = running.instance().and_then(|(filter, instance)| {
                let state = instance.save(&filter.code)?;
                let version = filter.state_version()?;
                Ok(SavedState { filter: filter.id.to_string(), version, state })
            });
            match saved {
                Ok(saved) => states.push(saved),
                Err(error) => {
                    running.end_instance();
                    lost.push(format!("filter {}: {error:#}", running.configured().id));
                }
            }
        }
        (states, lost)
    }

    /// Gives new instances of the stateful filters what those of the same ids kept. The others begin anew.
    ///
    /// # Errors
    /// What each filter says that does not take its state; it has begun anew then.
    pub(in crate::filter) fn restore(&mut self, states: &[SavedState]) -> Result<(), Vec<String>> {
        let mut refused = Vec::new();
        for running in self.running() {
            if !running.configured().stateful {
                continue;
            }
            running.end_instance();
            let id = running.configured().id.clone();
            let Some(saved) = states.iter().find(|saved| *saved.filter == *id) else { continue };
            let restored = running.instance().and_then(|(filter, instance)| {
                match instance.restore(&filter.code, saved.version, &saved.state)? {
                    Ok(()) => Ok(()),
                    Err(reason) => bail!("it does not take the state of version {}: {reason}", saved.version),
                }
            });
            if let Err(error) = restored {
                running.end_instance();
                refused.push(format!("filter {id}: {error:#}"));
            }
        }
        if refused.is_empty() { Ok(()) } else { Err(refused) }
    }
}

/// States as the ledger keeps them: a key and a value each.
pub fn write_states(states: &[SavedState]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let entry = |saved: &SavedState| {
        let value = [&saved.version.to_be_bytes()[..], &saved.state].concat();
        (saved.filter.clone().into_bytes(), value)
    };
    states.iter().map(entry).collect()
}

/// The same the other way.
///
/// # Errors
/// When an entry is none of [`write_states`].
pub fn read_states(entries: Vec<(Vec<u8>, Vec<u8>)>) -> Result<Vec<SavedState>> {
    let mut states = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let filter = String::from_utf8(key).context("the name of a filter's state is no text")?;
        let Some((version, state)) = value.split_first_chunk::<4>() else {
            bail!("the state of filter {filter} is cut off");
        };
        states.push(SavedState { filter, version: u32::from_be_bytes(*version), state: state.to_vec() });
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_as_they_were_written() {
        let states = [("a", 7, b"xyz".to_vec()), ("é", 0, Vec::new())];
        let states =
            states.map(|(filter, version, state)| SavedState { filter: filter.to_owned(), version, state });
        assert_eq!(read_states(write_states(&states)).unwrap(), states);
        assert!(read_states(vec![(b"a".to_vec(), vec![0; 3])]).is_err());
        assert!(read_states(vec![(vec![0xff], vec![0; 4])]).is_err());
    }
}
