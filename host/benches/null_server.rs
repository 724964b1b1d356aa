//! A server that takes bulk requests and keeps nothing. It runs as a process of its own, so that its work is not counted;
//! what it answers is the least that Elasticsearch's clients take for stored: as many items as there were actions.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

/// Serves until the process is ended. Prints its address first.
pub(crate) fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("http://{}", listener.local_addr()?);
    for connection in listener.incoming() {
        let connection = connection?;
        std::thread::spawn(move || {
            if let Err(error) = answer_all(connection) {
                eprintln!("the null server: {error:#}");
            }
        });
    }
    Ok(())
}

fn answer_all(connection: TcpStream) -> Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(1 << 18, connection.try_clone()?);
    let mut writer = connection;
    let (mut line, mut body, mut answer) = (String::new(), Vec::new(), Vec::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let is_bulk = line.starts_with("POST ") && line.contains("/_bulk");
        let mut length = 0;
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                bail!("a request has no end");
            }
            let header = line.trim_end();
            if header.is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().context("a length that is no number")?;
            }
        }
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        answer.clear();
        if is_bulk {
            let actions = memchr::memchr_iter(b'\n', &body).count() / 2;
            answer.extend_from_slice(b"{\"took\":0,\"errors\":false,\"items\":[");
            for number in 0..actions {
                if number > 0 {
                    answer.push(b',');
                }
                answer.extend_from_slice(b"{\"index\":{\"status\":201}}");
            }
            answer.extend_from_slice(b"]}");
        } else {
            answer.extend_from_slice(
                b"{\"version\":{\"number\":\"8.19.0\"},\"tagline\":\"You Know, for Search\"}",
            );
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-elastic-product: Elasticsearch\r\n\
             content-length: {}\r\n\r\n",
            answer.len()
        );
        writer.write_all(head.as_bytes())?;
        writer.write_all(&answer)?;
    }
}

/// The server as a process; it ends when this is dropped.
pub(crate) struct NullServer {
    process: Child,
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
}

impl NullServer {
    /// Starts this program as the server.
    pub(crate) fn start() -> Result<Self> {
        let mut process =
            Command::new(std::env::current_exe()?).arg("null-server").stdout(Stdio::piped()).spawn()?;
        let stdout = process.stdout.take().context("the server has no stdout")?;
        let mut url = String::new();
        BufReader::new(stdout).read_line(&mut url)?;
        Ok(NullServer { process, url: url.trim().to_owned() })
    }
}

impl Drop for NullServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
