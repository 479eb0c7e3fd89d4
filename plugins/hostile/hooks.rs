// Shared by the guests that misbehave in one hook and say proceed in the others.

macro_rules! at_a_hook {
    ($plugin:ident) => {
        fn at(hook: &str) -> Verdict {
            if config::get("at").as_deref() == Some(hook) {
                misbehave();
            }
            Verdict::Proceed
        }

        impl Plugin for $plugin {
            fn init() -> Result<(), String> {
                at("init");
                Ok(())
            }
            fn connect(&mut self, _cx: &Context) -> Verdict {
                at("connect")
            }
            fn ehlo(&mut self, _cx: &Context, _name: &str) -> Verdict {
                at("ehlo")
            }
            fn mail(&mut self, _cx: &Context, _sender: Option<&Mailbox>, _params: &[Param]) -> Verdict {
                at("mail")
            }
            fn rcpt(&mut self, _cx: &Context, _to: &Mailbox, _params: &[Param]) -> Verdict {
                at("rcpt")
            }
            fn data(&mut self, _cx: &Context) -> Verdict {
                at("data")
            }
            fn message(&mut self, _cx: &Context) -> Verdict {
                at("message")
            }
            fn disconnect(&mut self, _cx: &Context) {
                at("disconnect");
            }
        }

        waxwing_plugin::export!($plugin: init, connect, ehlo, mail, rcpt, data, message, disconnect);
    };
}
