//! What people write: words of many languages and scripts, and what breaks careless readers.

use super::chance::Chance;

/// One language: its tag, whether its words stand apart, and its words, the frequent ones first.
struct Language {
    tag: &'static str,
    spaced: bool,
    words: &'static [&'static str],
}

#[rustfmt::skip]
const LANGUAGES: &[Language] = &[
    Language {
        tag: "en",
        spaced: true,
        words: &[
            "the", "to", "a", "and", "is", "in", "it", "you", "of", "for", "this", "that", "so",
            "today", "people", "just", "don't", "love", "never", "tomorrow", "game", "morning",
            "coffee", "election", "weather", "nobody", "\"quoted\"", "AT&T", "C:\\temp", "100%",
            "<b>",
        ],
    },
    Language {
        tag: "ja",
        spaced: false,
        words: &[
            "の", "は", "が", "です", "を", "に", "今日", "ありがとう", "ございます", "笑", "推し", "おはよう", "楽しい",
            "配信", "ライブ", "新しい", "ゲーム", "天気", "駅", "猫", "𠮷野家",
        ],
    },
    Language {
        tag: "es",
        spaced: true,
        words: &[
            "de", "que", "la", "el", "no", "y", "a", "en", "¿por", "qué?", "mañana", "corazón",
            "año", "fútbol", "siempre", "nunca", "gracias", "¡vamos!", "señor", "país", "canción",
        ],
    },
    Language {
        tag: "pt",
        spaced: true,
        words: &[
            "que", "de", "eu", "não", "o", "a", "é", "pra", "você", "saudade", "coração",
            "amanhã", "jogo", "gente", "tá", "bom", "dia", "Brasil", "ninguém", "também", "às",
        ],
    },
    Language {
        tag: "ar",
        spaced: true,
        words: &[
            "من", "في", "على", "الله", "ما", "لا", "يا", "كل", "اليوم", "صباح", "الخير",
            "السعودية", "مباراة", "الحمد", "جميل", "قلب", "شكراً", "العربية", "مُحَمَّد",
            "٢٠٢٦",
        ],
    },
    Language {
        tag: "tr",
        spaced: true,
        words: &[
            "bir", "bu", "ve", "çok", "ne", "için", "değil", "güzel", "şimdi", "İstanbul",
            "ığdır", "günaydın", "teşekkürler", "maç", "öğrenci", "yok", "var",
        ],
    },
    Language {
        tag: "ko",
        spaced: true,
        words: &[
            "진짜", "너무", "오늘", "사랑해", "그냥", "우리", "생일", "축하해", "ㅋㅋㅋ", "ㅠㅠ", "콘서트", "내일", "고마워",
            "사진", "한국어",
        ],
    },
    Language {
        tag: "th",
        spaced: false,
        words: &[
            "ที่", "มา", "ไม่", "ก็", "เป็น", "รัก", "วันนี้", "น่ารัก", "ขอบคุณ", "ครับ",
            "ค่ะ", "สวัสดี", "พรุ่งนี้", "กรุงเทพฯ", "ฝนตก",
        ],
    },
    Language {
        tag: "hi",
        spaced: true,
        words: &[
            "है", "के", "में", "की", "का", "और", "नहीं", "भारत", "आज", "धन्यवाद", "जय", "श्री",
            "क्रिकेट", "हिन्दी", "सुबह",
        ],
    },
    Language {
        tag: "ru",
        spaced: true,
        words: &[
            "и", "в", "не", "на", "я", "что", "это", "как", "сегодня", "спасибо", "почему",
            "ёлка", "Россия", "завтра", "объект", "люблю",
        ],
    },
    Language {
        tag: "in",
        spaced: true,
        words: &[
            "yang", "di", "aku", "dan", "ga", "banget", "bisa", "selamat", "pagi", "kamu",
            "cinta", "makan", "besok", "hujan", "orang-orang",
        ],
    },
    Language {
        tag: "fr",
        spaced: true,
        words: &[
            "de", "la", "le", "et", "les", "c'est", "pas", "l'été", "où", "déjà", "cœur",
            "français", "aujourd’hui", "merci", "naïf", "garçon",
        ],
    },
    Language {
        tag: "de",
        spaced: true,
        words: &[
           
            "die", "der", "und", "ist", "nicht", "ich", "das", "schön", "Straße", "heute", "für",
            "Übung", "morgen", "größer", "Wien",
        ],
    },
    Language {
        tag: "fa",
        spaced: true,
        words: &[
            "و", "به", "از", "که", "این", "می\u{200c}شود", "ایران", "سلام", "امروز", "دوست",
            "۱۴۰۵", "کتاب‌ها",
        ],
    },
    Language {
        tag: "und",
        spaced: true,
        words: &[
            "😂", "❤️", "🔥", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇦🇹", "🤷‍♀️", "✨", "e\u{301}", "①", "🧑🏿‍🚀",
        ],
    },
];

/// How often each language is chosen, of 100, in the order of the list.
const SHARES: &[u64] = &[30, 19, 10, 7, 7, 5, 4, 4, 3, 3, 3, 2, 1, 1, 1];

/// Texts and names that some reader takes for something else.
#[rustfmt::skip]
const AWKWARD: &[&str] = &[
    "null", "NA", "nan", "None", "N/A", "NULL", "NaN", "inf", "-", "0", "00123", "1e5",
    "true", "=1+1", "=HYPERLINK(\"x\")", "@SUM(A1)", "+43 1", "-2", "\"", "\"\"", ",",
    ";", "'", "\\", "\\N", "\t", " ", "a,b", "a\"b", "\u{feff}", "\u{202e}abc",
    "\u{200b}", "{}", "[]", "2026-11-23", "é", "e\u{301}",
];

/// What is sometimes put inside a text.
#[rustfmt::skip]
const INTERRUPTIONS: &[&str] = &[
    "\n", "\n\n", "\r\n", "\r", "\u{2028}", "\u{2029}", "\t", ", ", " \"", "\" ", "\\",
    "\u{85}", "👨‍👩‍👧 ", "\u{1e}", "\u{7f}", "\u{fffd}", " = ", "&amp; ", "'", "\u{b}",
];

/// Appends a text of about that many characters and gives the language's tag.
pub(super) fn text(chance: &mut Chance, chars: usize, out: &mut String) -> &'static str {
    if chance.one_in(400) {
        out.push_str(chance.pick(AWKWARD));
        return "qst";
    }
    let language = language(chance);
    let begin = out.len();
    if chance.one_in(300) {
        out.push('=');
    }
    let mut written = 0;
    while written < chars {
        let word = language.words[chance.skewed_index(language.words.len())];
        out.push_str(word);
        // the shape of a script, not its length in bytes, makes a text long
        written += 1 + word.len() / if word.is_ascii() { 1 } else { 2 };
        if language.spaced {
            out.push(' ');
        }
        if chance.one_in(48) {
            out.push_str(chance.pick(INTERRUPTIONS));
        }
    }
    if chance.one_in(3_000) {
        out.push('\0');
    }
    if begin < out.len() && out.ends_with(' ') {
        out.pop();
    }
    language.tag
}

/// Appends a name as people choose them.
pub(super) fn name(chance: &mut Chance, out: &mut String) {
    if chance.one_in(200) {
        out.push_str(chance.pick(AWKWARD));
        return;
    }
    let language = language(chance);
    for part in 0..=chance.index(2) {
        if 0 < part {
            out.push(' ');
        }
        out.push_str(chance.pick(language.words));
    }
    if chance.one_in(6) {
        out.push_str(" 🌻");
    }
}

/// Appends a word without spaces, as a hashtag.
pub(super) fn tag(chance: &mut Chance, out: &mut String) {
    let words: &[&str] = &[
        "BTS",
        "Wien",
        "地震",
        "كأس_العالم",
        "Тест",
        "WM2026",
        "MTVHottest",
        "cat",
    ];
    out.push_str(words[chance.skewed_index(words.len())]);
}

fn language(chance: &mut Chance) -> &'static Language {
    let mut point = chance.below(100);
    for (language, share) in LANGUAGES.iter().zip(SHARES) {
        if point < *share {
            return language;
        }
        point -= share;
    }
    &LANGUAGES[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_of_a_hundred_and_every_language_has_one() {
        assert_eq!(SHARES.iter().sum::<u64>(), 100);
        assert_eq!(SHARES.len(), LANGUAGES.len());
    }
}
