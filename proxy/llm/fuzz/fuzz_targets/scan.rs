//! The scan never panics, and agrees with a full parse on whatever is JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use penstock_llm::request::scan;
use penstock_llm::splice::splice;
use penstock_proto::dialect::Dialect;
use serde_json::Value;

fuzz_target!(|body: &[u8]| {
    let dialects =
        [None, Some(Dialect::AnthropicMessages), Some(Dialect::OpenaiChat), Some(Dialect::OpenaiResponses)];
    let parsed = serde_json::from_slice::<Value>(body).ok().filter(Value::is_object);
    for dialect in dialects {
        let asked = scan(dialect, body);
        let Some(parsed) = &parsed else { continue };
        let asked = asked.expect("an object");
        assert_eq!(asked.stream, parsed["stream"] == Value::Bool(true));
        assert_eq!(asked.model.as_ref().map(|span| span.value.as_str()), parsed["model"].as_str());
        if let Some(span) = &asked.model {
            let spliced = splice(&bytes::Bytes::copy_from_slice(body), span, "other").concat();
            let again = serde_json::from_slice::<Value>(&spliced).expect("still an object");
            assert_eq!(again["model"], "other");
        }
    }
});
