//! Declares the keys of a program, each once.
//!
//! One table gives the types, the defaults, the reader, the writer, the effect of a reload, and the words
//! of the manual and of the commented configuration file.

/// Declares a configuration: for each section its type and when a change takes effect, for each key
/// its words, name, type, default and [kind](super::kinds), then an example where the default is that
/// it is not set, the cargo feature without which it is refused, and when a change takes effect where
/// that differs from its section.
macro_rules! configuration {
    (
        $(#[doc = $about:literal])+
        $config:ident;
        $(
            $(#[doc = $section_about:literal])+
            $section:ident: $struct:ident, $takes_effect:ident {
                $(
                    $(#[doc = $words:literal])+
                    $key:ident: $type:ty = $default:expr, $kind:expr
                        $(, example $example:literal)? $(, only_with $feature:literal)?
                        $(, takes_effect $key_takes_effect:ident)?;
                )+
            }
        )+
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone, PartialEq)]
        pub struct $config {
            $(
                $(#[doc = $section_about])+
                pub $section: $struct,
            )+
        }

        $(
            $(#[doc = $section_about])+
            #[derive(Debug, Clone, PartialEq)]
            pub struct $struct {
                $(
                    $(#[doc = $words])+
                    pub $key: $type,
                )+
            }
        )+

        impl Default for $config {
            fn default() -> Self {
                Self {
                    $($section: $struct { $($key: $default,)+ },)+
                }
            }
        }

        impl $config {
            /// The sections and their keys, in the order of the documentation.
            pub const SECTIONS: &'static [$crate::service::config::Section] = &[$(
                $crate::service::config::Section {
                    name: stringify!($section),
                    takes_effect: $crate::service::config::TakesEffect::$takes_effect,
                    keys: &[$(
                        $crate::service::config::Key {
                            name: stringify!($key),
                            about: &[$($words),+],
                            example: $crate::service::config::declare::optional!($($example)?),
                            only_with: $crate::service::config::declare::optional!($($feature)?),
                            takes_effect: $crate::service::config::declare::effect!(
                                $takes_effect $($key_takes_effect)?
                            ),
                        },
                    )+],
                },
            )+];

            /// Reads every key. One that is nowhere, or wrong, has its default.
            pub(crate) fn read(from: &mut $crate::service::config::reader::Reader<'_>) -> Self {
                Self {
                    $($section: $struct {
                        $($key: from
                            .read(stringify!($section), stringify!($key), &$kind)
                            .unwrap_or_else(|| $default),)+
                    },)+
                }
            }

            /// Every key and its value, in the order of the documentation.
            #[must_use]
            pub fn entries(&self) -> Vec<$crate::service::config::Entry> {
                use $crate::service::config::kinds::Kind as _;
                vec![$($(
                    $crate::service::config::Entry {
                        section: stringify!($section),
                        key: stringify!($key),
                        value: $kind.write(&self.$section.$key),
                    },
                )+)+]
            }

            /// Takes from `present` what changes only at a restart.
            pub(crate) fn keep_until_restart(&mut self, present: &Self) {
                use $crate::service::config::TakesEffect;
                use $crate::service::config::declare::effect;
                $($(
                    if effect!($takes_effect $($key_takes_effect)?) == TakesEffect::AtRestart {
                        self.$section.$key.clone_from(&present.$section.$key);
                    }
                )+)+
            }
        }
    };
}

/// `Some` of what is there.
macro_rules! optional {
    () => {
        None
    };
    ($value:literal) => {
        Some($value)
    };
}

/// When a change takes effect: as the key says, or else its section.
macro_rules! effect {
    ($section:ident) => {
        $crate::service::config::TakesEffect::$section
    };
    ($section:ident $key:ident) => {
        $crate::service::config::TakesEffect::$key
    };
}

pub(crate) use {configuration, effect, optional};
