//! The client's end of an HTTP/1.1 connection: one request after the other, and what it means
//! when the connection ends in between.

use super::{Answer, Progress, Response};
use crate::{
    replay::{
        connection::{Context, Fault},
        control::Limits,
        exchange::{Ended, Exchange},
    },
    run::Class,
};

/// One request after the other.
pub(in crate::replay) struct Http1 {
    pub(in crate::replay) exchange: Option<Exchange>,
    pub(in crate::replay) written: usize,
    response: Response,
    first_byte_ns: u64,
    pub(in crate::replay) phase_ns: u64,
    is_answered: bool,
    /// Whether an earlier answer was complete: the connection is reused.
    pub(in crate::replay) is_proven: bool,
}

impl Http1 {
    pub(in crate::replay) fn new(exchange: Exchange) -> Self {
        Self {
            written: 0,
            response: Response::new(exchange.card().asked),
            first_byte_ns: 0,
            phase_ns: exchange.sent_ns,
            is_answered: false,
            is_proven: false,
            exchange: Some(exchange),
        }
    }

    pub(in crate::replay) fn begin(&mut self, exchange: Exchange, now_ns: u64) {
        let is_proven = self.is_proven;
        *self = Self {
            is_proven,
            // It may have waited for this connection.
            phase_ns: now_ns,
            ..Self::new(exchange)
        };
    }

    pub(in crate::replay) fn rest(&self) -> &[u8] {
        let bytes = self.exchange.as_ref().map(|it| &it.wire().bytes);
        bytes.map_or(&[], |bytes| &bytes[self.written..])
    }

    pub(in crate::replay) fn feed(
        &mut self,
        bytes: &[u8],
        cx: &mut Context,
        idle_s: &mut Option<u32>,
    ) -> Result<(), Fault> {
        if self.exchange.is_none() {
            cx.strays += 1;
            return Err(Fault::Done);
        }
        self.is_answered = true;
        match self.response.feed(bytes) {
            Ok(Progress::More) => {
                // A head that trickles in, or interim answers without end, gain no time.
                if self.response.has_head() {
                    self.phase_ns = cx.now_ns;
                    if self.first_byte_ns == 0 {
                        self.first_byte_ns = cx.now_ns;
                    }
                }
                Ok(())
            }
            Ok(Progress::Done(answer, used)) => {
                let is_stray = used < bytes.len();
                cx.strays += u64::from(is_stray);
                let is_reusable = answer.reusable && !is_stray && self.rest().is_empty();
                *idle_s = answer.idle_s;
                self.succeed(answer, cx);
                if is_reusable {
                    Ok(())
                } else {
                    Err(Fault::Done)
                }
            }
            Err(class) => Err(Fault::Class(class)),
        }
    }

    fn succeed(&mut self, answer: Answer, cx: &mut Context) {
        self.is_proven = true;
        let Some(exchange) = self.exchange.take() else {
            return;
        };
        let expected = exchange.card().expect_status;
        let first_byte_ns = match self.first_byte_ns {
            0 => cx.now_ns,
            before => before,
        };
        cx.endings.push(Ended {
            exchange,
            class: Class::of_status(answer.status, expected, answer.retry_after),
            status: Some(answer.status),
            body_bytes: answer.body_bytes,
            first_byte_ns,
            may_retry: false,
            caught: self.response.take_caught(),
        });
    }

    pub(in crate::replay) fn fail(&mut self, class: Class, cx: &mut Context) {
        if let Some(exchange) = self.exchange.take() {
            let is_race = class == Class::ClosedReused && !self.is_answered;
            cx.endings.push(Ended {
                may_retry: is_race,
                ..exchange.failed(class)
            });
        }
    }

    pub(in crate::replay) fn ended(&mut self, in_order: bool, is_broken: bool, cx: &mut Context) {
        cx.tick();
        let class = match self.response.finish() {
            _ if self.exchange.is_none() => return,
            Ok(answer) if in_order => return self.succeed(answer, cx),
            Ok(_) => Class::TruncatedBody,
            Err(Some(class)) => class,
            Err(None) if self.is_proven => Class::ClosedReused,
            Err(None) if is_broken => Class::WriteReset,
            Err(None) => Class::ClosedBeforeResponse,
        };
        self.fail(class, cx);
    }

    pub(in crate::replay) fn overdue(&self, now_ns: u64, limits: &Limits) -> Option<Class> {
        let exchange = self.exchange.as_ref()?;
        let waited_ns = now_ns.saturating_sub(self.phase_ns);
        if now_ns.saturating_sub(exchange.sent_ns) >= limits.total_ns {
            return Some(Class::TotalTimeout);
        }
        let (limit_ns, class) = if self.response.has_head() {
            (limits.idle_ns, Class::BodyIdleTimeout)
        } else {
            (limits.header_ns, Class::HeaderTimeout)
        };
        (waited_ns >= limit_ns).then_some(class)
    }
}
