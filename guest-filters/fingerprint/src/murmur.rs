//! MurmurHash3 of 32 bits (x86, seed 0), of one text and of four at once. Each step of the hash waits for the one before; four
//! hashes side by side wait together. Written here, as the crate's reads its bytes through `Read`, four at a time, which takes
//! several times as long as the hashing.

/// The hash of some bytes.
pub(crate) fn murmur3(bytes: &[u8]) -> u32 {
    finished(0, bytes, bytes.len())
}

/// The hashes of four texts: in vectors as far as all of them reach, then one by one.
pub(crate) fn murmur3_of_four(texts: [&[u8]; 4]) -> [u32; 4] {
    let blocks = texts.map(|text| text.as_chunks::<4>().0);
    let shared = blocks.iter().map(|blocks| blocks.len()).min().unwrap_or(0);
    let [first, second, third, fourth] = blocks.map(|blocks| &blocks[..shared]);
    let mut hashes = lanes::of([0; 4]);
    for (((first, second), third), fourth) in first.iter().zip(second).zip(third).zip(fourth) {
        let block = lanes::of([*first, *second, *third, *fourth].map(u32::from_le_bytes));
        hashes = lanes::with_block(hashes, block);
    }
    let mut finished_hashes = lanes::values(hashes);
    for (hash, text) in finished_hashes.iter_mut().zip(texts) {
        *hash = finished(*hash, &text[4 * shared..], text.len());
    }
    finished_hashes
}

const FIRST: u32 = 0xcc9e_2d51;
const SECOND: u32 = 0x1b87_3593;
const ADDED: u32 = 0xe654_6b64;

/// The hash of bytes of which `left` have not gone into it yet.
fn finished(mut hash: u32, left: &[u8], length: usize) -> u32 {
    let (blocks, rest) = left.as_chunks::<4>();
    for block in blocks {
        hash = with_block(hash, u32::from_le_bytes(*block));
    }
    let mut last = 0;
    for byte in rest.iter().rev() {
        last = last << 8 | u32::from(*byte);
    }
    // Of no bytes this is 0, which changes nothing. Of the length the low 32 bits count.
    hash ^= scrambled(last) ^ length as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

fn with_block(hash: u32, block: u32) -> u32 {
    (hash ^ scrambled(block)).rotate_left(13).wrapping_mul(5).wrapping_add(ADDED)
}

fn scrambled(block: u32) -> u32 {
    block.wrapping_mul(FIRST).rotate_left(15).wrapping_mul(SECOND)
}

/// Four numbers in a vector. The compiler does not make vectors of the plain form by itself.
#[cfg(target_feature = "simd128")]
mod lanes {
    use std::arch::wasm32::{
        u32x4, u32x4_add, u32x4_extract_lane, u32x4_mul, u32x4_shl, u32x4_shr, u32x4_splat, v128, v128_or,
        v128_xor,
    };

    pub(super) fn of([first, second, third, fourth]: [u32; 4]) -> v128 {
        u32x4(first, second, third, fourth)
    }

    pub(super) fn values(lanes: v128) -> [u32; 4] {
        [
            u32x4_extract_lane::<0>(lanes),
            u32x4_extract_lane::<1>(lanes),
            u32x4_extract_lane::<2>(lanes),
            u32x4_extract_lane::<3>(lanes),
        ]
    }

    pub(super) fn with_block(hashes: v128, block: v128) -> v128 {
        let block = u32x4_mul(block, u32x4_splat(super::FIRST));
        let block = u32x4_mul(rotated(block, 15), u32x4_splat(super::SECOND));
        let hashes = rotated(v128_xor(hashes, block), 13);
        u32x4_add(u32x4_mul(hashes, u32x4_splat(5)), u32x4_splat(super::ADDED))
    }

    fn rotated(lanes: v128, left: u32) -> v128 {
        v128_or(u32x4_shl(lanes, left), u32x4_shr(lanes, 32 - left))
    }
}

#[cfg(not(target_feature = "simd128"))]
mod lanes {
    pub(super) fn of(values: [u32; 4]) -> [u32; 4] {
        values
    }

    pub(super) fn values(lanes: [u32; 4]) -> [u32; 4] {
        lanes
    }

    pub(super) fn with_block(mut hashes: [u32; 4], block: [u32; 4]) -> [u32; 4] {
        for (hash, block) in hashes.iter_mut().zip(block) {
            *hash = super::with_block(*hash, block);
        }
        hashes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(bytes: &[u8]) -> u32 {
        murmur3::murmur3_32(&mut &*bytes, 0).unwrap()
    }

    #[test]
    fn is_what_the_crate_answers() {
        let bytes: Vec<u8> = (0..=255).rev().collect();
        for begin in 0..bytes.len() {
            for end in begin..=bytes.len() {
                let part = &bytes[begin..end];
                assert_eq!(murmur3(part), expected(part), "bytes {begin} to {end}");
            }
        }
        // From Logstash's own specification.
        assert_eq!(murmur3(b"123.123.123.123"), 4_013_733_395);
    }

    #[test]
    fn four_are_each_alone() {
        let bytes: Vec<u8> = (0..=255).rev().collect();
        for length in 0..60 {
            for other in [0, 1, 3, 4, 17, 106] {
                let texts =
                    [&bytes[..length], &bytes[3..3 + other], &bytes[100..200], &bytes[7..7 + length / 2]];
                assert_eq!(murmur3_of_four(texts), texts.map(expected), "{length} and {other} bytes");
            }
        }
    }
}
