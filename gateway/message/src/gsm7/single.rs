//! The national language single shift tables (3GPP TS 23.038 §A.2): each stands in for the extension table behind the
//! escape.
//!
//! Data only. A code that a table does not have shows the character of the main table (notes to §A.2): the user's duty.
//!
//! # Limits
//! §A.2.12 has no euro sign, and Telugu none here; some phones show one on 0x65, as in the tables of the others.

use super::Language;
use super::table::{Run, Table};

/// §6.2.1.1 without the euro sign: common to all tables.
#[rustfmt::skip]
const MARKS: &[Run] = &[
    (0x0A, '\u{C}', 1), (0x14, '^', 1), (0x28, '{', 1), (0x29, '}', 1), (0x2F, '\\', 1), (0x3C, '[', 1),
    (0x3D, '~', 1), (0x3E, ']', 1), (0x40, '|', 1),
];

/// And the euro sign, which all but Telugu have.
const EURO: &[Run] = &[(0x65, '€', 1)];

/// What the tables of Bengali to Urdu share beside that.
#[rustfmt::skip]
const INDIC: &[Run] = &[
    (0x00, '@', 1), (0x01, '£', 1), (0x02, '$', 1), (0x03, '¥', 1), (0x04, '¿', 1), (0x05, '"', 1),
    (0x06, '¤', 1), (0x07, '%', 3), (0x0B, '*', 2), (0x0E, '-', 1), (0x0F, '/', 1), (0x10, '<', 3),
    (0x13, '¡', 1), (0x15, '¡', 1), (0x16, '_', 1), (0x17, '#', 1), (0x18, '*', 1), (0x41, 'A', 26),
];

/// §A.2.1.
#[rustfmt::skip]
const TURKISH: &[Run] = &[
    (0x47, 'Ğ', 1), (0x49, 'İ', 1), (0x53, 'Ş', 1), (0x63, 'ç', 1), (0x67, 'ğ', 1), (0x69, 'ı', 1),
    (0x73, 'ş', 1),
];

/// §A.2.2.
#[rustfmt::skip]
const SPANISH: &[Run] = &[
    (0x09, 'ç', 1), (0x41, 'Á', 1), (0x49, 'Í', 1), (0x4F, 'Ó', 1), (0x55, 'Ú', 1), (0x61, 'á', 1),
    (0x69, 'í', 1), (0x6F, 'ó', 1), (0x75, 'ú', 1),
];

/// §A.2.3.
#[rustfmt::skip]
const PORTUGUESE: &[Run] = &[
    (0x05, 'ê', 1), (0x09, 'ç', 1), (0x0B, 'Ô', 1), (0x0C, 'ô', 1), (0x0E, 'Á', 1), (0x0F, 'á', 1),
    (0x12, 'Φ', 1), (0x13, 'Γ', 1), (0x15, 'Ω', 1), (0x16, 'Π', 1), (0x17, 'Ψ', 1), (0x18, 'Σ', 1),
    (0x19, 'Θ', 1), (0x1F, 'Ê', 1), (0x41, 'À', 1), (0x49, 'Í', 1), (0x4F, 'Ó', 1), (0x55, 'Ú', 1),
    (0x5B, 'Ã', 1), (0x5C, 'Õ', 1), (0x61, 'Â', 1), (0x69, 'í', 1), (0x6F, 'ó', 1), (0x75, 'ú', 1),
    (0x7B, 'ã', 1), (0x7C, 'õ', 1), (0x7F, 'â', 1),
];

/// §A.2.4.
#[rustfmt::skip]
const BENGALI: &[Run] = &[
    (0x19, '\u{9E6}', 2), (0x1C, '\u{9E8}', 8), (0x24, '\u{9DF}', 4), (0x2A, '\u{9E3}', 1),
    (0x2B, '\u{9F2}', 4), (0x30, '\u{9F6}', 5),
];

/// §A.2.5.
#[rustfmt::skip]
const GUJARATI: &[Run] = &[
    (0x19, '\u{964}', 2), (0x1C, '\u{AE6}', 10),
];

/// §A.2.6.
#[rustfmt::skip]
const HINDI: &[Run] = &[
    (0x19, '\u{964}', 2), (0x1C, '\u{966}', 10), (0x26, '\u{951}', 2), (0x2A, '\u{953}', 2),
    (0x2C, '\u{958}', 3), (0x30, '\u{95B}', 9), (0x39, '\u{970}', 2),
];

/// §A.2.7.
#[rustfmt::skip]
const KANNADA: &[Run] = &[
    (0x19, '\u{964}', 2), (0x1C, '\u{CE6}', 10), (0x26, '\u{CDE}', 1), (0x27, '\u{CF1}', 1),
    (0x2A, '\u{CF2}', 1),
];

/// §A.2.8.
#[rustfmt::skip]
const MALAYALAM: &[Run] = &[
    (0x19, '\u{964}', 2), (0x1C, '\u{D66}', 12), (0x2A, '\u{D72}', 4), (0x2E, '\u{D7A}', 1),
    (0x30, '\u{D7B}', 5),
];

/// §A.2.9.
#[rustfmt::skip]
const ORIYA: &[Run] = &[
    (0x19, '\u{964}', 2), (0x1C, '\u{B66}', 10), (0x26, '\u{B5C}', 2), (0x2A, '\u{B5F}', 1),
    (0x2B, '\u{B70}', 2),
];

/// §A.2.10.
#[rustfmt::skip]
const PUNJABI: &[Run] = &[
    (0x19, '\u{964}', 2), (0x1C, '\u{A66}', 10), (0x26, '\u{A59}', 2), (0x2A, '\u{A5B}', 2),
    (0x2C, '\u{A5E}', 1), (0x2D, '\u{A75}', 1),
];

/// §A.2.11.
#[rustfmt::skip]
const TAMIL: &[Run] = &[
    (0x19, '\u{964}', 2), (0x1C, '\u{BE6}', 10), (0x26, '\u{BF3}', 2), (0x2A, '\u{BF5}', 4),
    (0x2E, '\u{BFA}', 1),
];

/// §A.2.12.
#[rustfmt::skip]
const TELUGU: &[Run] = &[
    (0x1C, '\u{C66}', 10), (0x26, '\u{C58}', 2), (0x2A, '\u{C78}', 5), (0x30, '\u{C7D}', 3),
];

/// §A.2.13.
#[rustfmt::skip]
const URDU: &[Run] = &[
    (0x19, '\u{600}', 2), (0x1C, '\u{6F0}', 10), (0x26, '\u{60C}', 2), (0x2A, '\u{60E}', 5),
    (0x30, '\u{613}', 2), (0x32, '\u{61B}', 1), (0x33, '\u{61F}', 1), (0x34, '\u{640}', 1),
    (0x35, '\u{652}', 1), (0x36, '\u{658}', 1), (0x37, '\u{66B}', 2), (0x39, '\u{672}', 2),
    (0x3B, '\u{6CD}', 1), (0x3F, '\u{6D4}', 1),
];

pub(super) static DEFAULT_TABLE: Table = Table::of_runs(&[MARKS, EURO]);
static TURKISH_TABLE: Table = Table::of_runs(&[MARKS, EURO, TURKISH]);
static SPANISH_TABLE: Table = Table::of_runs(&[MARKS, EURO, SPANISH]);
static PORTUGUESE_TABLE: Table = Table::of_runs(&[MARKS, EURO, PORTUGUESE]);
static BENGALI_TABLE: Table = Table::of_runs(&[MARKS, EURO, INDIC, BENGALI]);
static GUJARATI_TABLE: Table = Table::of_runs(&[MARKS, EURO, INDIC, GUJARATI]);
static HINDI_TABLE: Table = Table::of_runs(&[MARKS, EURO, INDIC, HINDI]);
static KANNADA_TABLE: Table = Table::of_runs(&[MARKS, EURO, INDIC, KANNADA]);
static MALAYALAM_TABLE: Table = Table::of_runs(&[MARKS, EURO, INDIC, MALAYALAM]);
static ORIYA_TABLE: Table = Table::of_runs(&[MARKS, EURO, INDIC, ORIYA]);
static PUNJABI_TABLE: Table = Table::of_runs(&[MARKS, EURO, INDIC, PUNJABI]);
static TAMIL_TABLE: Table = Table::of_runs(&[MARKS, EURO, INDIC, TAMIL]);
static TELUGU_TABLE: Table = Table::of_runs(&[MARKS, INDIC, TELUGU]);
static URDU_TABLE: Table = Table::of_runs(&[MARKS, EURO, INDIC, URDU]);

/// The table of a language: each has one.
pub(super) const fn table(language: Language) -> &'static Table {
    match language {
        Language::Turkish => &TURKISH_TABLE,
        Language::Spanish => &SPANISH_TABLE,
        Language::Portuguese => &PORTUGUESE_TABLE,
        Language::Bengali => &BENGALI_TABLE,
        Language::Gujarati => &GUJARATI_TABLE,
        Language::Hindi => &HINDI_TABLE,
        Language::Kannada => &KANNADA_TABLE,
        Language::Malayalam => &MALAYALAM_TABLE,
        Language::Oriya => &ORIYA_TABLE,
        Language::Punjabi => &PUNJABI_TABLE,
        Language::Tamil => &TAMIL_TABLE,
        Language::Telugu => &TELUGU_TABLE,
        Language::Urdu => &URDU_TABLE,
    }
}
