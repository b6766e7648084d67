/** An address apart from who asks there: `user:password` in it is sent as HTTP Basic, and shown nowhere. */
export function withoutCredentials(address: URL): { url: URL; authorization: string | undefined } {
  const { username, password } = address;
  const url = new URL(address);
  url.username = '';
  url.password = '';
  if (username === '' && password === '') return { url, authorization: undefined };
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { url, authorization: `Basic ${Buffer.from(credentials).toString('base64')}` };
}
