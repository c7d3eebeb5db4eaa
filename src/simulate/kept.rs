//! What was computed for a second, as long as it is likely to be needed again.

use std::{collections::HashMap, hash::Hash, sync::Arc};

/// How many bytes of generated seconds are kept for the next connection or backfill.
const KEPT_BYTES_MAX: usize = 128 << 20;

/// How many generated seconds are kept: a backfill's five minutes and more.
const KEPT_SECONDS_MAX: usize = 512;

/// The values; those not used for longest go when there are too many.
#[derive(Debug)]
pub(super) struct Kept<K, T> {
    found: HashMap<K, (u64, usize, Arc<T>)>,
    bytes: usize,
    uses: u64,
}

impl<K: Copy + Eq + Hash, T> Kept<K, T> {
    pub(super) fn new() -> Self {
        Self {
            found: HashMap::new(),
            bytes: 0,
            uses: 0,
        }
    }

    pub(super) fn get(&mut self, key: &K) -> Option<Arc<T>> {
        self.uses += 1;
        let (last_use, _, value) = self.found.get_mut(key)?;
        *last_use = self.uses;
        Some(Arc::clone(value))
    }

    /// Keeps a value; those not used for longest go when there is too much.
    pub(super) fn put(&mut self, key: K, value: T, bytes: usize) -> Arc<T> {
        while KEPT_SECONDS_MAX <= self.found.len() || KEPT_BYTES_MAX < self.bytes + bytes {
            let oldest = self
                .found
                .iter()
                .min_by_key(|(_, (last_use, ..))| *last_use);
            let Some(oldest) = oldest.map(|(key, _)| *key) else {
                break;
            };
            if let Some((_, freed, _)) = self.found.remove(&oldest) {
                self.bytes -= freed;
            }
        }
        self.uses += 1;
        self.bytes += bytes;
        let value = Arc::new(value);
        self.found
            .insert(key, (self.uses, bytes, Arc::clone(&value)));
        value
    }
}
