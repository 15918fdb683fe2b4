//! One object as a change of another: git's delta, which copies stretches of the base and inserts new bytes.

/// What is looked up: a stretch of so many bytes.
const STRETCH_BYTES: usize = 8;
/// A copy of fewer bytes costs more than the bytes themselves, once they are compressed.
const MIN_COPY_BYTES: usize = 12;
/// Stretches with the same hash that are tried.
const MAX_LOOKS: usize = 16;
/// The length that every reader understands in one copy.
const MAX_COPY_BYTES: usize = 0xffff;
/// An insert's length is its own instruction byte.
const MAX_INSERT_BYTES: usize = 0x7f;

/// A delta under construction.
pub(super) struct Delta {
    bytes: Vec<u8>,
}

impl Delta {
    /// From a base of `base` bytes to a result of `result` bytes.
    pub fn new(base: usize, result: usize) -> Self {
        let mut bytes = Vec::with_capacity(64);
        push_size(&mut bytes, base);
        push_size(&mut bytes, result);
        Self { bytes }
    }

    /// The next `length` bytes are those of the base at `offset`.
    pub fn copy(&mut self, mut offset: usize, mut length: usize) {
        while length > 0 {
            let part = length.min(MAX_COPY_BYTES);
            let at = self.bytes.len();
            self.bytes.push(0x80);
            let ([a, b, c, d, ..], [e, f, ..]) = (offset.to_le_bytes(), part.to_le_bytes());
            for (bit, byte) in [a, b, c, d, e, f].into_iter().enumerate().filter(|(_, byte)| *byte != 0) {
                self.bytes[at] |= 1 << bit;
                self.bytes.push(byte);
            }
            offset += part;
            length -= part;
        }
    }

    /// The next bytes are new.
    pub fn insert(&mut self, new: &[u8]) {
        for part in new.chunks(MAX_INSERT_BYTES) {
            self.bytes.push(part.len().to_le_bytes()[0]);
            self.bytes.extend(part);
        }
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// A size as git's deltas and pack entries have it: seven bits a byte, the lowest first.
pub(super) fn push_size(bytes: &mut Vec<u8>, mut size: usize) {
    while size >= 0x80 {
        bytes.push(size.to_le_bytes()[0] | 0x80);
        size >>= 7;
    }
    bytes.push(size.to_le_bytes()[0]);
}

/// An object that others are described by: the positions of its stretches, by a hash of their bytes.
pub(super) struct Base {
    bytes: Vec<u8>,
    /// Position + 1 of the last stretch with a hash; 0 for none.
    last: Vec<u32>,
    /// For each position, position + 1 of the stretch before it with the same hash; 0 for none.
    before: Vec<u32>,
    shift: u32,
}

impl Base {
    pub fn new(bytes: Vec<u8>) -> Self {
        let bits = (bytes.len().max(256) * 2).next_power_of_two().trailing_zeros();
        let stretches = bytes.len().saturating_sub(STRETCH_BYTES - 1);
        let mut base = Self { last: vec![0; 1 << bits], before: vec![0; stretches], shift: 64 - bits, bytes };
        for position in 0..stretches {
            let slot = base.slot(&base.bytes[position..]);
            base.before[position] = base.last[slot];
            base.last[slot] = u32::try_from(position + 1).unwrap_or(0);
        }
        base
    }

    fn slot(&self, stretch: &[u8]) -> usize {
        let word = stretch.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        // Fibonacci hashing; the upper bits are the good ones.
        usize::try_from(word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift).unwrap_or(0)
    }

    /// Where the longest stretch is that `target` begins with, as far as a few looks can tell, and its length.
    fn longest(&self, target: &[u8]) -> (usize, usize) {
        let mut best = (0, 0);
        let mut found = self.last[self.slot(target)] as usize;
        for _ in 0..MAX_LOOKS {
            let Some(position) = found.checked_sub(1) else { break };
            let length = common(&self.bytes[position..], target);
            if length > best.1 {
                best = (position, length);
            }
            found = self.before[position] as usize;
        }
        best
    }

    /// `target` as a change of this object.
    pub fn delta_to(&self, target: &[u8]) -> Vec<u8> {
        let mut delta = Delta::new(self.bytes.len(), target.len());
        let mut new_from = 0;
        let mut at = 0;
        while at + STRETCH_BYTES <= target.len() {
            let (mut from, mut length) = self.longest(&target[at..]);
            if length < STRETCH_BYTES {
                at += 1;
                continue;
            }
            while at > new_from && from > 0 && self.bytes[from - 1] == target[at - 1] {
                (at, from, length) = (at - 1, from - 1, length + 1);
            }
            if length < MIN_COPY_BYTES {
                at += length;
                continue;
            }
            delta.insert(&target[new_from..at]);
            delta.copy(from, length);
            at += length;
            new_from = at;
        }
        delta.insert(&target[new_from..]);
        delta.into_bytes()
    }
}

/// How many bytes two slices have in common at their beginning.
fn common(left: &[u8], right: &[u8]) -> usize {
    left.iter().zip(right).take_while(|(left, right)| left == right).count()
}

/// The object that `delta` makes of `base`; `None` where it is no delta of it.
pub(super) fn apply(base: &[u8], delta: &[u8]) -> Option<Vec<u8>> {
    let mut rest = delta;
    let base_size = take_size(&mut rest)?;
    let result_size = take_size(&mut rest)?;
    if base_size != base.len() {
        return None;
    }
    let mut result = Vec::with_capacity(result_size.min(1 << 26));
    while let Some((&instruction, after)) = rest.split_first() {
        rest = after;
        if result.len() > result_size {
            return None;
        }
        if instruction & 0x80 == 0 {
            let (new, after) = rest.split_at_checked(usize::from(instruction)).filter(|_| instruction > 0)?;
            result.extend(new);
            rest = after;
            continue;
        }
        let mut fields = [0_u8; 7];
        for (_, field) in fields.iter_mut().enumerate().filter(|(bit, _)| instruction & (1 << bit) != 0) {
            let (&byte, after) = rest.split_first()?;
            *field = byte;
            rest = after;
        }
        let [a, b, c, d, e, f, g] = fields;
        let offset = u32::from_le_bytes([a, b, c, d]) as usize;
        let length = match u32::from_le_bytes([e, f, g, 0]) as usize {
            0 => 0x1_0000,
            length => length,
        };
        result.extend(base.get(offset..offset.checked_add(length)?)?);
    }
    (result.len() == result_size).then_some(result)
}

/// Takes a size off the front.
pub(super) fn take_size(bytes: &mut &[u8]) -> Option<usize> {
    let mut size = 0;
    for shift in (0..usize::BITS).step_by(7) {
        let (&byte, after) = bytes.split_first()?;
        *bytes = after;
        size |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(size);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = Vec<u8>> {
        // Few different words, so that stretches repeat.
        prop::collection::vec(
            prop::sample::select(vec!["service-", "\"deploy\": ", "a", "0123456789abcdef", "\n  "]),
            0..200,
        )
        .prop_map(|words| words.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn a_delta_makes_the_target_of_its_base(base in text(), target in text()) {
            let delta = Base::new(base.clone()).delta_to(&target);
            prop_assert_eq!(apply(&base, &delta), Some(target));
        }

        #[test]
        fn copies_and_inserts_of_any_length_read_back(offset in 0..70_000_usize, length in 0..200_000_usize, new in 0..300_usize) {
            let base: Vec<u8> = (0..300_000_u32).map(|number| number.to_le_bytes()[1] ^ number.to_le_bytes()[0]).collect();
            let mut delta = Delta::new(base.len(), length + new);
            delta.copy(offset, length);
            delta.insert(&vec![7; new]);
            let expected = [&base[offset..offset + length], &vec![7; new]].concat();
            prop_assert_eq!(apply(&base, &delta.into_bytes()), Some(expected));
        }

        #[test]
        fn no_bytes_make_it_panic(base in prop::collection::vec(any::<u8>(), 0..20), delta in prop::collection::vec(any::<u8>(), 0..20)) {
            apply(&base, &delta);
        }
    }

    #[test]
    fn like_texts_make_small_deltas() {
        let entry = |id: u32| {
            format!(
                "{{\n  \"task_id\": \"task-{id}\",\n  \"status\": \"completed\",\n  \"title\": \"deploy of the shop\"\n}}\n"
            )
        };
        let delta = Base::new(entry(17).into_bytes()).delta_to(entry(42).as_bytes());
        assert!(delta.len() < 20, "{}", delta.len());
    }
}
