//! Values a second, on one core, of pseudonyms by either hash, and of other masks beside them.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use datafusion::arrow::array::{ArrayRef, Date32Array, Int64Array, StringArray};
use policy::mask::ColumnMask;
use policy::pseudonym::{PseudonymHash, PseudonymKeys, Pseudonyms};

/// Rows of a batch.
const ROWS: i64 = 8192;

fn key(hash: PseudonymHash) -> Pseudonyms {
    let keys = PseudonymKeys::new(&[7; 32], hash, 1).expect("a secret of 32 bytes");
    keys.pseudonyms("research", "resident").expect("a key")
}

fn mask(criterion: &mut Criterion) {
    let numbers: ArrayRef = Arc::new((0..ROWS).map(|n| Some(n * 7919)).collect::<Int64Array>());
    // Identifiers of 18 digits.
    let texts: ArrayRef = Arc::new((0..ROWS).map(|n| Some(format!("1101051949{n:08}"))).collect::<StringArray>());
    let names: ArrayRef = Arc::new((0..ROWS).map(|n| Some(format!("名字 {n}"))).collect::<StringArray>());
    let days: ArrayRef = Arc::new((0..8192).map(|n| Some(n * 3)).collect::<Date32Array>());
    let pseudonym = ColumnMask::Pseudonym("resident".to_string());
    let (sha256, sm3) = (key(PseudonymHash::Sha256), key(PseudonymHash::Sm3));

    let mut group = criterion.benchmark_group("mask");
    group.throughput(Throughput::Elements(ROWS.unsigned_abs()));
    for (name, mask, array, key) in [
        ("pseudonym of integers, SHA-256", &pseudonym, &numbers, Some(&sha256)),
        ("pseudonym of 18 digits, SHA-256", &pseudonym, &texts, Some(&sha256)),
        ("pseudonym of words, SHA-256", &pseudonym, &names, Some(&sha256)),
        ("pseudonym of 18 digits, SM3", &pseudonym, &texts, Some(&sm3)),
        ("show_first(4)", &ColumnMask::ShowFirst(4), &texts, None),
        ("mask_alphanum", &ColumnMask::MaskAlphanum, &texts, None),
        ("truncate_to_year", &ColumnMask::TruncateToYear, &days, None),
        ("replace_with_null", &ColumnMask::ReplaceWithNull, &texts, None),
    ] {
        mask.apply(array, key).expect("the mask fits the type");
        group.bench_function(name, |bencher| bencher.iter(|| mask.apply(black_box(array), key)));
    }
    group.finish();
}

criterion_group!(benches, mask);
criterion_main!(benches);
