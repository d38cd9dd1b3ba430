//! The national language locking shift tables (3GPP TS 23.038 §A.3): each stands in for the default alphabet.
//!
//! Data only. Spanish has none (§A.3.2 is void): with its identifier the default alphabet stays.
//!
//! # Limits
//! §A.3.7 prints U+0CAA (Kannada PA) on 0x24 and on 0x3D, and U+0CA1 (DDA) nowhere. The row is in the order of the
//! alphabet and phones have DDA there, so 0x24 is DDA here; PA is written as 0x3D, which everybody reads the same way.

use super::Language;
use super::table::{Run, Table, replace};

/// 3GPP TS 23.038 §6.2.1, in the order of the codes. 0x1B is the escape and maps to nothing.
#[rustfmt::skip]
const DEFAULT: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å',
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', '\0', 'Æ', 'æ', 'ß', 'É',
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/',
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?',
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O',
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§',
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o',
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

/// What the tables of Bengali to Urdu share: controls, marks, digits, small letters.
#[rustfmt::skip]
const FRAME: &[Run] = &[
    (0x0A, '\n', 1), (0x0D, '\r', 1), (0x20, ' ', 2), (0x28, ')', 1), (0x29, '(', 1), (0x2C, ',', 1),
    (0x2E, '.', 1), (0x30, '0', 12), (0x3F, '?', 1), (0x61, 'a', 26),
];

/// §A.3.1, where it differs from the default alphabet.
#[rustfmt::skip]
const TURKISH: &[Run] = &[
    (0x04, '€', 1), (0x07, 'ı', 1), (0x0B, 'Ğ', 2), (0x1C, 'Ş', 2), (0x40, 'İ', 1), (0x60, 'ç', 1),
];

/// §A.3.3, where it differs from the default alphabet.
#[rustfmt::skip]
const PORTUGUESE: &[Run] = &[
    (0x04, 'ê', 1), (0x06, 'ú', 1), (0x07, 'í', 1), (0x08, 'ó', 1), (0x09, 'ç', 1), (0x0B, 'Ô', 1),
    (0x0C, 'ô', 1), (0x0E, 'Á', 1), (0x0F, 'á', 1), (0x12, 'ª', 1), (0x13, 'Ç', 1), (0x14, 'À', 1),
    (0x15, '∞', 1), (0x16, '^', 1), (0x17, '\\', 1), (0x18, '€', 1), (0x19, 'Ó', 1), (0x1A, '|', 1),
    (0x1C, 'Â', 1), (0x1D, 'â', 1), (0x1E, 'Ê', 1), (0x24, 'º', 1), (0x40, 'Í', 1), (0x5B, 'Ã', 1),
    (0x5C, 'Õ', 1), (0x5D, 'Ú', 1), (0x60, '~', 1), (0x7B, 'ã', 1), (0x7C, 'õ', 1), (0x7D, '`', 1),
];

/// §A.3.4.
#[rustfmt::skip]
const BENGALI: &[Run] = &[
    (0x00, '\u{981}', 3), (0x03, '\u{985}', 7), (0x0B, '\u{98C}', 1), (0x0F, '\u{98F}', 2),
    (0x13, '\u{993}', 8), (0x1C, '\u{99B}', 4), (0x22, '\u{99F}', 6), (0x2A, '\u{9A5}', 2),
    (0x2D, '\u{9A7}', 1), (0x2F, '\u{9A8}', 1), (0x3D, '\u{9AA}', 2), (0x40, '\u{9AC}', 5),
    (0x46, '\u{9B2}', 1), (0x4A, '\u{9B6}', 4), (0x4E, '\u{9BC}', 9), (0x59, '\u{9C7}', 2),
    (0x5D, '\u{9CB}', 4), (0x7B, '\u{9D7}', 1), (0x7C, '\u{9DC}', 2), (0x7E, '\u{9F0}', 2),
];

/// §A.3.5.
#[rustfmt::skip]
const GUJARATI: &[Run] = &[
    (0x00, '\u{A81}', 3), (0x03, '\u{A85}', 7), (0x0B, '\u{A8C}', 2), (0x0F, '\u{A8F}', 3),
    (0x13, '\u{A93}', 8), (0x1C, '\u{A9B}', 4), (0x22, '\u{A9F}', 6), (0x2A, '\u{AA5}', 2),
    (0x2D, '\u{AA7}', 1), (0x2F, '\u{AA8}', 1), (0x3D, '\u{AAA}', 2), (0x40, '\u{AAC}', 5),
    (0x46, '\u{AB2}', 2), (0x49, '\u{AB5}', 5), (0x4E, '\u{ABC}', 10), (0x59, '\u{AC7}', 3),
    (0x5D, '\u{ACB}', 3), (0x60, '\u{AD0}', 1), (0x7B, '\u{AE0}', 4), (0x7F, '\u{AF1}', 1),
];

/// §A.3.6.
#[rustfmt::skip]
const HINDI: &[Run] = &[
    (0x00, '\u{901}', 3), (0x03, '\u{905}', 7), (0x0B, '\u{90C}', 2), (0x0E, '\u{90E}', 13),
    (0x1C, '\u{91B}', 4), (0x22, '\u{91F}', 6), (0x2A, '\u{925}', 2), (0x2D, '\u{927}', 1),
    (0x2F, '\u{928}', 1), (0x3C, '\u{929}', 3), (0x40, '\u{92C}', 14), (0x4E, '\u{93C}', 18),
    (0x60, '\u{950}', 1), (0x7B, '\u{972}', 1), (0x7C, '\u{97B}', 2), (0x7E, '\u{97E}', 2),
];

/// §A.3.7.
#[rustfmt::skip]
const KANNADA: &[Run] = &[
    (0x01, '\u{C82}', 2), (0x03, '\u{C85}', 7), (0x0B, '\u{C8C}', 1), (0x0E, '\u{C8E}', 3),
    (0x12, '\u{C92}', 9), (0x1C, '\u{C9B}', 4), (0x22, '\u{C9F}', 6), (0x2A, '\u{CA5}', 2),
    (0x2D, '\u{CA7}', 1), (0x2F, '\u{CA8}', 1), (0x3D, '\u{CAA}', 2), (0x40, '\u{CAC}', 8),
    (0x49, '\u{CB5}', 5), (0x4E, '\u{CBC}', 9), (0x58, '\u{CC6}', 3), (0x5C, '\u{CCA}', 4),
    (0x60, '\u{CD5}', 1), (0x7B, '\u{CD6}', 1), (0x7C, '\u{CE0}', 4),
];

/// §A.3.8.
#[rustfmt::skip]
const MALAYALAM: &[Run] = &[
    (0x01, '\u{D02}', 2), (0x03, '\u{D05}', 7), (0x0B, '\u{D0C}', 1), (0x0E, '\u{D0E}', 3),
    (0x12, '\u{D12}', 9), (0x1C, '\u{D1B}', 4), (0x22, '\u{D1F}', 6), (0x2A, '\u{D25}', 2),
    (0x2D, '\u{D27}', 1), (0x2F, '\u{D28}', 1), (0x3D, '\u{D2A}', 2), (0x40, '\u{D2C}', 14),
    (0x4F, '\u{D3D}', 8), (0x58, '\u{D46}', 3), (0x5C, '\u{D4A}', 4), (0x60, '\u{D57}', 1),
    (0x7B, '\u{D60}', 4), (0x7F, '\u{D79}', 1),
];

/// §A.3.9.
#[rustfmt::skip]
const ORIYA: &[Run] = &[
    (0x00, '\u{B01}', 3), (0x03, '\u{B05}', 7), (0x0B, '\u{B0C}', 1), (0x0F, '\u{B0F}', 2),
    (0x13, '\u{B13}', 8), (0x1C, '\u{B1B}', 4), (0x22, '\u{B1F}', 6), (0x2A, '\u{B25}', 2),
    (0x2D, '\u{B27}', 1), (0x2F, '\u{B28}', 1), (0x3D, '\u{B2A}', 2), (0x40, '\u{B2C}', 5),
    (0x46, '\u{B32}', 2), (0x49, '\u{B35}', 5), (0x4E, '\u{B3C}', 9), (0x59, '\u{B47}', 2),
    (0x5D, '\u{B4B}', 3), (0x60, '\u{B56}', 1), (0x7B, '\u{B57}', 1), (0x7C, '\u{B60}', 4),
];

/// §A.3.10.
#[rustfmt::skip]
const PUNJABI: &[Run] = &[
    (0x00, '\u{A01}', 3), (0x03, '\u{A05}', 6), (0x0F, '\u{A0F}', 2), (0x13, '\u{A13}', 8),
    (0x1C, '\u{A1B}', 4), (0x22, '\u{A1F}', 6), (0x2A, '\u{A25}', 2), (0x2D, '\u{A27}', 1),
    (0x2F, '\u{A28}', 1), (0x3D, '\u{A2A}', 2), (0x40, '\u{A2C}', 5), (0x46, '\u{A32}', 2),
    (0x49, '\u{A35}', 2), (0x4C, '\u{A38}', 2), (0x4E, '\u{A3C}', 1), (0x50, '\u{A3E}', 5),
    (0x59, '\u{A47}', 2), (0x5D, '\u{A4B}', 3), (0x60, '\u{A51}', 1), (0x7B, '\u{A70}', 5),
];

/// §A.3.11.
#[rustfmt::skip]
const TAMIL: &[Run] = &[
    (0x01, '\u{B82}', 2), (0x03, '\u{B85}', 6), (0x0E, '\u{B8E}', 3), (0x12, '\u{B92}', 4),
    (0x19, '\u{B99}', 2), (0x1D, '\u{B9C}', 1), (0x1F, '\u{B9E}', 1), (0x22, '\u{B9F}', 1),
    (0x26, '\u{BA3}', 2), (0x2F, '\u{BA8}', 1), (0x3C, '\u{BA9}', 2), (0x42, '\u{BAE}', 12),
    (0x50, '\u{BBE}', 5), (0x58, '\u{BC6}', 3), (0x5C, '\u{BCA}', 4), (0x60, '\u{BD0}', 1),
    (0x7B, '\u{BD7}', 1), (0x7C, '\u{BF0}', 3), (0x7F, '\u{BF9}', 1),
];

/// §A.3.12.
#[rustfmt::skip]
const TELUGU: &[Run] = &[
    (0x00, '\u{C01}', 3), (0x03, '\u{C05}', 7), (0x0B, '\u{C0C}', 1), (0x0E, '\u{C0E}', 3),
    (0x12, '\u{C12}', 9), (0x1C, '\u{C1B}', 4), (0x22, '\u{C1F}', 6), (0x2A, '\u{C25}', 2),
    (0x2D, '\u{C27}', 1), (0x2F, '\u{C28}', 1), (0x3D, '\u{C2A}', 2), (0x40, '\u{C2C}', 8),
    (0x49, '\u{C35}', 5), (0x4F, '\u{C3D}', 8), (0x58, '\u{C46}', 3), (0x5C, '\u{C4A}', 4),
    (0x60, '\u{C55}', 1), (0x7B, '\u{C56}', 1), (0x7C, '\u{C60}', 4),
];

/// §A.3.13.
#[rustfmt::skip]
const URDU: &[Run] = &[
    (0x00, '\u{627}', 1), (0x01, '\u{622}', 1), (0x02, '\u{628}', 1), (0x03, '\u{67B}', 1),
    (0x04, '\u{680}', 1), (0x05, '\u{67E}', 1), (0x06, '\u{6A6}', 1), (0x07, '\u{62A}', 1),
    (0x08, '\u{6C2}', 1), (0x09, '\u{67F}', 1), (0x0B, '\u{679}', 1), (0x0C, '\u{67D}', 1),
    (0x0E, '\u{67A}', 1), (0x0F, '\u{67C}', 1), (0x10, '\u{62B}', 2), (0x12, '\u{681}', 1),
    (0x13, '\u{684}', 1), (0x14, '\u{683}', 1), (0x15, '\u{685}', 3), (0x18, '\u{62D}', 3),
    (0x1C, '\u{68C}', 1), (0x1D, '\u{688}', 3), (0x22, '\u{68F}', 1), (0x23, '\u{68D}', 1),
    (0x24, '\u{630}', 2), (0x26, '\u{691}', 1), (0x27, '\u{693}', 1), (0x2A, '\u{699}', 1),
    (0x2B, '\u{632}', 1), (0x2D, '\u{696}', 1), (0x2F, '\u{698}', 1), (0x3C, '\u{69A}', 1),
    (0x3D, '\u{633}', 2), (0x40, '\u{635}', 5), (0x45, '\u{641}', 2), (0x47, '\u{6A9}', 3),
    (0x4A, '\u{6AF}', 1), (0x4B, '\u{6B3}', 1), (0x4C, '\u{6B1}', 1), (0x4D, '\u{644}', 3),
    (0x50, '\u{6BA}', 3), (0x53, '\u{648}', 1), (0x54, '\u{6C4}', 1), (0x55, '\u{6D5}', 1),
    (0x56, '\u{6C1}', 1), (0x57, '\u{6BE}', 1), (0x58, '\u{621}', 1), (0x59, '\u{6CC}', 1),
    (0x5A, '\u{6D0}', 1), (0x5B, '\u{6D2}', 1), (0x5C, '\u{64D}', 1), (0x5D, '\u{650}', 1),
    (0x5E, '\u{64F}', 1), (0x5F, '\u{657}', 1), (0x60, '\u{654}', 1), (0x7B, '\u{655}', 1),
    (0x7C, '\u{651}', 1), (0x7D, '\u{653}', 1), (0x7E, '\u{656}', 1), (0x7F, '\u{670}', 1),
];

pub(super) static DEFAULT_TABLE: Table = Table::of(DEFAULT);
static TURKISH_TABLE: Table = Table::of(replace(DEFAULT, &[TURKISH]));
static PORTUGUESE_TABLE: Table = Table::of(replace(DEFAULT, &[PORTUGUESE]));
static BENGALI_TABLE: Table = Table::of_runs(&[FRAME, BENGALI]);
static GUJARATI_TABLE: Table = Table::of_runs(&[FRAME, GUJARATI]);
static HINDI_TABLE: Table = Table::of_runs(&[FRAME, HINDI]);
static KANNADA_TABLE: Table = Table::of_runs(&[FRAME, KANNADA]);
static MALAYALAM_TABLE: Table = Table::of_runs(&[FRAME, MALAYALAM]);
static ORIYA_TABLE: Table = Table::of_runs(&[FRAME, ORIYA]);
static PUNJABI_TABLE: Table = Table::of_runs(&[FRAME, PUNJABI]);
static TAMIL_TABLE: Table = Table::of_runs(&[FRAME, TAMIL]);
static TELUGU_TABLE: Table = Table::of_runs(&[FRAME, TELUGU]);
static URDU_TABLE: Table = Table::of_runs(&[FRAME, URDU]);

/// The table of a language, if it has one.
pub(super) const fn table(language: Language) -> Option<&'static Table> {
    Some(match language {
        Language::Spanish => return None,
        Language::Turkish => &TURKISH_TABLE,
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
    })
}
