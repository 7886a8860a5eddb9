//! What buffa calls what it generates, so that emitted code can name it.

use buffa_codegen::idents::{escape_mod_ident, make_field_ident};
use prost_reflect::{FieldDescriptor, MessageDescriptor, OneofDescriptor};

/// A field's or a oneof's name in Rust.
pub(crate) fn ident(name: &str) -> String {
    make_field_ident(name).to_string()
}

/// The path of a message's type.
pub(crate) fn owned(message: &MessageDescriptor) -> String {
    format!("{}{}{}", package(message), around(message), message.name())
}

/// The path of a message's view.
pub(crate) fn view(message: &MessageDescriptor) -> String {
    format!("{}__buffa::view::{}{}View", package(message), around(message), message.name())
}

/// The path of a oneof's enum.
pub(crate) fn oneof(oneof: &OneofDescriptor) -> String {
    let message = oneof.parent_message();
    format!("{}__buffa::oneof::{}{}", package(message), within(message), pascal(oneof.name()))
}

/// The path of the enum that a oneof is in a view.
pub(crate) fn oneof_view(oneof: &OneofDescriptor) -> String {
    let message = oneof.parent_message();
    format!("{}__buffa::view::oneof::{}{}", package(message), within(message), pascal(oneof.name()))
}

/// A member's variant in its oneof's enum.
pub(crate) fn variant(field: &FieldDescriptor) -> String {
    make_field_ident(&pascal(field.name())).to_string()
}

fn package(message: &MessageDescriptor) -> String {
    let package = message.package_name();
    let root = if package == "google.protobuf" { "buffa_types::" } else { "messages::" };
    package.split('.').fold(root.into(), |path, part| path + &escape_mod_ident(part) + "::")
}

/// The modules that stand for the messages around this one.
fn around(message: &MessageDescriptor) -> String {
    message.parent_message().as_ref().map(within).unwrap_or_default()
}

/// The modules that stand for this message and those around it.
fn within(message: &MessageDescriptor) -> String {
    format!("{}{}::", around(message), escape_mod_ident(&snake(message.name())))
}

fn pascal(name: &str) -> String {
    let capital = |word: &str| {
        let (first, rest) = word.split_at(usize::from(!word.is_empty()));
        first.to_uppercase() + rest
    };
    name.split('_').map(capital).collect()
}

/// `HTTPRequest` is `http_request`.
fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).map(|index| letters[index]);
        let ends_capitals = letters.get(index + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase()
            && before.is_some_and(|c| c.is_lowercase() || c.is_uppercase() && ends_capitals)
        {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}
