import { once } from 'node:events';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';

const host = 'Host: 127.0.0.1\r\n';

/** What no client of HTTP sends; `token` where it has to come past the door. */
export const brokenHttp = (token: string): readonly string[] => {
  const bearer = `Authorization: Bearer ${token}\r\n`;
  const get = `GET /v1/status HTTP/1.1\r\n${host}${bearer}`;
  const post = `POST /v1/jobs HTTP/1.1\r\n${host}${bearer}Content-Type: application/json\r\n`;
  return [
    'x\r\n\r\n',
    '\r\n\r\n\r\n',
    '\0\0\0\0\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', // the beginning of TLS
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'GET /v1/status\r\n\r\n',
    'GET /v1/status HTTP/9.9\r\n\r\n',
    `GET /v1/status HTTP/1.0\r\n${bearer}\r\n`,
    `GET /v1/status HTTP/1.1\r\n${bearer}\r\n`,
    `GET /v1/sta\0tus HTTP/1.1\r\n${host}${bearer}\r\n`,
    `GET /v1/sta tus HTTP/1.1\r\n${host}${bearer}\r\n`,
    `GET /v1/instances/💥 HTTP/1.1\r\n${host}${bearer}\r\n`,
    `GET http://[::1/v1/status HTTP/1.1\r\n${host}${bearer}\r\n`,
    `GET ../../v1/status HTTP/1.1\r\n${host}${bearer}\r\n`,
    `CONNECT 127.0.0.1:80 HTTP/1.1\r\n${host}${bearer}\r\n`,
    `OPTIONS * HTTP/1.1\r\n${host}${bearer}\r\n`,
    `${get}Host: evil.example\r\n\r\n`,
    `${get}Authorization: Bearer x\r\n\r\n`,
    `${get}X: a\0b\r\n\r\n`,
    `${get}X : a\r\n\r\n`,
    `${get} folded: a\r\n\r\n`,
    `${get}${'X: y\r\n'.repeat(3_000)}\r\n`,
    `${get}Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    `${get}Expect: the-unexpected\r\n\r\n`,
    `${get}Content-Length: 5\r\n\r\nabc`,
    `${post}Content-Length: -1\r\n\r\n{}`,
    `${post}Content-Length: 1e3\r\n\r\n{}`,
    `${post}Content-Length: 99999999999999999999\r\n\r\n{}`,
    `${post}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x`,
    `${post}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
    `${post}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`,
    `${post}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}`,
    `${post}Transfer-Encoding: chunked\r\n\r\n2;${'x'.repeat(20_000)}\r\n{}\r\n0\r\n\r\n`,
    `${post}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n${'X: y\r\n'.repeat(2_000)}\r\n`,
    `${post}Transfer-Encoding: gzip\r\n\r\n{}`,
    `${post}Transfer-Encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
    `${post}Content-Length: 10\r\n\r\n{}`,
    `${get}\r\n`.repeat(50),
  ];
};

/** Sends it, ends our side, and hears what comes until the server has ended its own. */
export async function sendRaw(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {}); // it may be cut: that is an answer, too
  await once(socket, 'connect');
  const heard = text(socket).catch(() => '');
  socket.end(Buffer.from(bytes, 'latin1'));
  return await heard;
}
