//! [`export!`](crate::export!): which hooks of a plugin the server sees.

/// Exports hooks of a [`Plugin`](crate::Plugin): `export!(Greylist: rcpt, message)`.
///
/// The hooks are `init`, `connect`, `ehlo`, `auth`, `mail`, `rcpt`, `data`, `message`, `route`, `outcome` and
/// `disconnect`. The server asks for these and no others. A crate exports one plugin.
#[macro_export]
macro_rules! export {
    ($plugin:ty: $($hook:ident),+ $(,)?) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Guest;

            ::std::thread_local! {
                static PLUGIN: ::std::cell::RefCell<::std::option::Option<$plugin>> =
                    const { ::std::cell::RefCell::new(::std::option::Option::None) };
            }

            impl $crate::Instance for Guest {
                type Plugin = $plugin;
                fn with<R>(f: impl FnOnce(&mut $plugin) -> R) -> R {
                    PLUGIN.with_borrow_mut(|plugin| f(plugin.get_or_insert_with(::std::default::Default::default)))
                }
            }

            $($crate::component::$hook::subscribe!(Guest with_types_in $crate::component::$hook);)+
        };

        #[cfg(not(target_arch = "wasm32"))]
        impl $crate::testing::Exported for $plugin {
            const HOOKS: &'static [$crate::testing::Hook] = &[$($crate::testing::hook::$hook),+];
        }

        // Outside WebAssembly nothing calls a plugin but its tests; this keeps it from being called unused.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(&$crate::testing::Server) -> $crate::testing::Session<$plugin> =
            $crate::testing::Server::session::<$plugin>;
    };
}

#[cfg(target_arch = "wasm32")]
pub use guest::Instance;

/// What stands between the generated exports and the plugin.
#[cfg(target_arch = "wasm32")]
mod guest {
    use crate::host::exports as on;
    use crate::host::imports::waxwing::mail::types;
    use crate::{Context, Mailbox, NextHop, Outcome, OutcomeKind, Param, Plugin, Verdict, host};

    /// Where the one value of the plugin lives: made by [`export!`](crate::export!).
    pub trait Instance {
        type Plugin: Plugin;
        fn with<R>(f: impl FnOnce(&mut Self::Plugin) -> R) -> R;
    }

    fn ask<I: Instance>(f: impl FnOnce(&mut I::Plugin, &Context) -> Verdict) -> types::Verdict {
        panics_to_the_log();
        I::with(|plugin| f(plugin, &Context::of_the_running_hook())).into()
    }

    /// A trap carries no message; without this the reason of a panic would be lost.
    fn panics_to_the_log() {
        use std::sync::Once;
        static ONCE: Once = Once::new();
        ONCE.call_once(|| std::panic::set_hook(Box::new(|info| crate::log::error(&info.to_string()))));
    }

    impl<I: Instance> on::connect::exports::waxwing::mail::on_connect::Guest for I {
        fn connect() -> types::Verdict {
            ask::<I>(|plugin, cx| plugin.connect(cx))
        }
    }
    impl<I: Instance> on::ehlo::exports::waxwing::mail::on_ehlo::Guest for I {
        fn ehlo(name: String) -> types::Verdict {
            ask::<I>(|plugin, cx| plugin.ehlo(cx, &name))
        }
    }
    impl<I: Instance> on::auth::exports::waxwing::mail::on_auth::Guest for I {
        fn auth(mechanism: String, user: String) -> types::Verdict {
            ask::<I>(|plugin, cx| plugin.auth(cx, &mechanism, &user))
        }
    }
    impl<I: Instance> on::mail::exports::waxwing::mail::on_mail::Guest for I {
        fn mail(sender: Option<types::Mailbox>, params: Vec<types::Param>) -> types::Verdict {
            let (sender, params) = (sender.map(Mailbox::from), host::params(params));
            ask::<I>(|plugin, cx| plugin.mail(cx, sender.as_ref(), &params))
        }
    }
    impl<I: Instance> on::rcpt::exports::waxwing::mail::on_rcpt::Guest for I {
        fn rcpt(recipient: types::Mailbox, params: Vec<types::Param>) -> types::Verdict {
            let (to, params): (Mailbox, Vec<Param>) = (recipient.into(), host::params(params));
            ask::<I>(|plugin, cx| plugin.rcpt(cx, &to, &params))
        }
    }
    impl<I: Instance> on::data::exports::waxwing::mail::on_data::Guest for I {
        fn data() -> types::Verdict {
            ask::<I>(|plugin, cx| plugin.data(cx))
        }
    }
    impl<I: Instance> on::message::exports::waxwing::mail::on_message::Guest for I {
        fn message() -> types::Verdict {
            ask::<I>(|plugin, cx| plugin.message(cx))
        }
    }
    impl<I: Instance> on::disconnect::exports::waxwing::mail::on_disconnect::Guest for I {
        fn disconnect() {
            panics_to_the_log();
            I::with(|plugin| plugin.disconnect(&Context::of_the_running_hook()));
        }
    }
    impl<I: Instance> on::init::exports::waxwing::mail::lifecycle::Guest for I {
        fn init() -> Result<(), String> {
            panics_to_the_log();
            I::Plugin::init()
        }
    }

    use on::route::exports::waxwing::mail::on_route;
    impl<I: Instance> on_route::Guest for I {
        fn route(recipient: types::Mailbox, attempt: u32) -> Option<on_route::NextHopChoice> {
            panics_to_the_log();
            let recipient = recipient.into();
            let hop = I::with(|plugin| plugin.route(&Context::of_the_running_hook(), &recipient, attempt))?;
            let NextHop { next_hop, hold, delay_s, source } = hop;
            Some(on_route::NextHopChoice { next_hop, hold, delay_s, source })
        }
    }

    use on::outcome::exports::waxwing::mail::on_outcome;
    impl<I: Instance> on_outcome::Guest for I {
        fn outcome(
            queue_id: String,
            recipient: types::Mailbox,
            kind: on_outcome::Kind,
            host: Option<String>,
            reply: String,
            attempt: u32,
        ) {
            panics_to_the_log();
            let kind = match kind {
                on_outcome::Kind::Delivered => OutcomeKind::Delivered,
                on_outcome::Kind::Deferred => OutcomeKind::Deferred,
                on_outcome::Kind::Bounced => OutcomeKind::Bounced,
                on_outcome::Kind::Expired => OutcomeKind::Expired,
            };
            let outcome = Outcome { queue_id, recipient: recipient.into(), kind, host, reply, attempt };
            I::with(|plugin| plugin.outcome(&Context::of_the_running_hook(), &outcome));
        }
    }

    impl From<Verdict> for types::Verdict {
        fn from(verdict: Verdict) -> types::Verdict {
            match verdict {
                Verdict::Proceed => types::Verdict::Proceed,
                Verdict::Accept => types::Verdict::Accept,
                Verdict::Reject(r) => types::Verdict::Reject(r.into()),
                Verdict::Tempfail(r) => types::Verdict::Tempfail(r.into()),
                Verdict::Discard(why) => types::Verdict::Discard(why),
                Verdict::Quarantine(why) => types::Verdict::Quarantine(why),
                Verdict::Disconnect(r) => types::Verdict::Disconnect(r.into()),
            }
        }
    }
}
