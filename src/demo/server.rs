//! The sockets of the demo service: a small HTTP/1.1 server that answers when the model says.

use std::{cell::RefCell, io, net::TcpListener, rc::Rc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
};

use super::model::{Plan, Service};
use crate::clock::{Clock, Timer, prefer_this_thread};

const HEAD_MAX: usize = 16 * 1024;

/// Serves both deployments on the current thread until `stopped` resolves.
pub(super) fn serve(
    services: [(TcpListener, Service); 2],
    stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    prefer_this_thread();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async move {
        let clock = Clock::start();
        for (listener, service) in services {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let service = Rc::new(RefCell::new(service));
            tokio::task::spawn_local(accept(listener, service, clock));
        }
        // An error means that the pair was dropped, which is the sign to stop.
        let _ = stopped.await;
        Ok(())
    })
}

async fn accept(
    listener: tokio::net::TcpListener,
    service: Rc<RefCell<Service>>,
    clock: Clock,
) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::task::spawn_local(converse(stream, Rc::clone(&service), clock));
    }
}

/// One keep-alive connection: read a head, wait for the computed instant, answer.
async fn converse(
    mut stream: TcpStream,
    service: Rc<RefCell<Service>>,
    clock: Clock,
) -> io::Result<()> {
    let timer = Timer::new(clock)?;
    let mut buffer = Vec::with_capacity(1024);
    loop {
        let Some((path, used)) = parse(&buffer) else {
            if buffer.len() > HEAD_MAX || stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            continue;
        };
        buffer.drain(..used);
        let plan = service.borrow_mut().plan(&path, clock.now_ns());
        let (status, body) = match plan {
            Plan::Answer { at_ns } => {
                timer.until(at_ns).await?;
                (
                    "200 OK",
                    "{\"status\":\"ok\",\"items\":[1,2,3,5,8,13,21,34]}\n",
                )
            }
            Plan::Fail => ("500 Internal Server Error", "{\"status\":\"failed\"}\n"),
            Plan::Unknown => ("404 Not Found", "{\"status\":\"unknown\"}\n"),
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// The path of a complete head and the head's length; bodies are not expected here.
fn parse(bytes: &[u8]) -> Option<(String, usize)> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(used)) => Some((request.path?.to_owned(), used)),
        _ => None,
    }
}
