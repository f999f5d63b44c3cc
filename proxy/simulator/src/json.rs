//! JSON written key by key in the order given, because providers have an order and readers come to rely
//! on it (`type` first). Never parses.

/// JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Raw(pub String);

/// What can stand as a value.
pub(crate) trait Json {
    fn write(&self, out: &mut String);
}

/// JSON's `null`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Null;

/// `object! { "type": "ping", "n": 1 }` is `{"type":"ping","n":1}`.
macro_rules! object {
    ($($key:literal : $value:expr),* $(,)?) => {{
        #[allow(unused_mut, reason = "an object may be empty")]
        let mut object = $crate::json::Object::default();
        $( object.push($key, &$value); )*
        object.finish()
    }};
}

/// `array! [1, "a"]` is `[1,"a"]`.
macro_rules! array {
    ($($value:expr),* $(,)?) => {{
        let items: Vec<$crate::json::Raw> = vec![$( $crate::json::raw(&$value) ),*];
        $crate::json::raw(&items)
    }};
}

pub(crate) use {array, object};

/// An object being written.
#[derive(Debug, Default)]
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn push(&mut self, key: &str, value: &(impl Json + ?Sized)) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        key.write(&mut self.0);
        self.0.push(':');
        value.write(&mut self.0);
    }

    pub(crate) fn finish(mut self) -> Raw {
        if self.0.is_empty() {
            self.0.push('{');
        }
        self.0.push('}');
        Raw(self.0)
    }
}

/// Any value as text.
pub(crate) fn raw(value: &(impl Json + ?Sized)) -> Raw {
    let mut out = String::new();
    value.write(&mut out);
    Raw(out)
}

impl Json for Raw {
    fn write(&self, out: &mut String) {
        out.push_str(&self.0);
    }
}

impl Json for Null {
    fn write(&self, out: &mut String) {
        out.push_str("null");
    }
}

impl Json for bool {
    fn write(&self, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }
}

impl Json for str {
    fn write(&self, out: &mut String) {
        out.push('"');
        for c in self.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

impl Json for String {
    fn write(&self, out: &mut String) {
        self.as_str().write(out);
    }
}

impl<T: Json + ?Sized> Json for &T {
    fn write(&self, out: &mut String) {
        (**self).write(out);
    }
}

impl<T: Json> Json for Option<T> {
    fn write(&self, out: &mut String) {
        match self {
            Some(value) => value.write(out),
            None => Null.write(out),
        }
    }
}

impl<T: Json> Json for Vec<T> {
    fn write(&self, out: &mut String) {
        out.push('[');
        for (i, value) in self.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            value.write(out);
        }
        out.push(']');
    }
}

macro_rules! plain_number {
    ($($number:ty),*) => { $(impl Json for $number {
        fn write(&self, out: &mut String) {
            out.push_str(&self.to_string());
        }
    })* };
}

plain_number!(i32, u32, i64, u64, usize, f64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_order_and_strings_are_escaped() {
        let made = object! {
            "type": "x", "a": 1, "text": "say \"hi\"\n\u{1}ä", "none": Null, "list": array![true, 2.5, object! {}], "empty": array![]
        };
        assert_eq!(
            made.0,
            r#"{"type":"x","a":1,"text":"say \"hi\"\n\u0001ä","none":null,"list":[true,2.5,{}],"empty":[]}"#
        );
        let parsed: serde_json::Value = serde_json::from_str(&made.0).unwrap();
        assert_eq!(parsed["text"], "say \"hi\"\n\u{1}ä");
    }
}
