import type { ProxyRoute } from './routes.ts';

/** What of a route stands inside `http` and what inside the main `server`. */
export interface RenderedRoute {
  readonly http: readonly string[];
  readonly main: readonly string[];
}

/**
 * One kind of engine: a group per GPU, one balanced over all, and for each GPU one that prefers it and falls over to
 * the others. The cookie `mgpu_<kind>` holds the GPU that answered last; a browser stays there until that engine is down.
 */
export function renderRoute({ kind, path, targets }: ProxyRoute, listen: (port: number) => string): RenderedRoute {
  // Kinds have neither `_` nor `--`: no two kinds, and no kind with a GPU, give the same name.
  const name = `mgpu_${kind.replaceAll('-', '__')}`;
  // Known dead for a second: a refused connection costs nothing, and an engine that comes up is noticed at once.
  const server = (address: string, role = '') => `        server ${address} max_fails=1 fail_timeout=1s${role};`;
  const group = (suffix: string, lines: readonly string[]) => [`    upstream ${name}_${suffix} {`, ...lines, '    }'];
  const map = (of: string, into: string, lines: readonly string[]) => [
    `    map ${of} $${name}_${into} {`,
    ...lines.map((line) => `        ${line};`),
    '    }',
  ];
  return {
    http: [
      `    # ${kind}`,
      ...targets.flatMap(({ gpu, address }) => group(`${gpu}`, [server(address)])),
      ...group('any', [
        `        zone ${name}_any 256k;`,
        '        least_conn;',
        ...targets.map(({ address }) => server(address)),
      ]),
      ...targets.flatMap(({ gpu, address }) => {
        const others = targets.filter((each) => each.gpu !== gpu).map((each) => server(each.address, ' backup'));
        return group(`prefer_${gpu}`, [server(address), ...others]);
      }),
      ...map(`$cookie_${name}`, 'group', [
        `default ${name}_any`,
        ...targets.map(({ gpu }) => `${gpu} ${name}_prefer_${gpu}`),
      ]),
      ...map('$upstream_addr', 'served', [
        'default ""',
        ...targets.map(({ gpu, address }) => `"~(?:^| )${escapeRegExp(address)}$" ${gpu}`),
      ]),
      ...map(`"$cookie_${name}=$${name}_served"`, 'cookie', [
        `default "${name}=$${name}_served; Path=${path}; HttpOnly; SameSite=Lax"`,
        ...targets.map(({ gpu }) => `"${gpu}=${gpu}" ""`),
        '"~=$" ""',
      ]),
      ...map('$request_uri', 'uri', restOf(path)),
      ...targets.flatMap(({ gpu }) => map('$request_uri', `${gpu}_uri`, restOf(`${path}${gpu}/`))),
      ...targets.flatMap(({ gpu, port }) =>
        port === undefined
          ? []
          : [
              '    server {',
              `        listen ${listen(port)};`,
              `        location / { proxy_pass http://${name}_${gpu}; }`,
              '    }',
            ],
      ),
    ],
    main: [
      ...location(path, `$${name}_uri`, `http://$${name}_group`, [`add_header Set-Cookie $${name}_cookie always;`]),
      ...targets.flatMap(({ gpu }) => location(`${path}${gpu}/`, `$${name}_${gpu}_uri`, `http://${name}_${gpu}`, [])),
    ],
  };
}

/**
 * Maps the path to what follows the prefix, as the client wrote it: nginx's own is decoded, and %2F must reach ComfyUI as
 * %2F. One name serves all, as it is used at once: PCRE takes only short ones.
 */
const restOf = (prefix: string) => ['default ""', `"~^${prefix.slice(0, -1)}(?<mgpu_rest>/.*)$" $mgpu_rest`];

function location(path: string, uri: string, upstream: string, lines: readonly string[]): string[] {
  return [
    `        location ${path} {`,
    `            if (${uri} = "") { return 400; }`,
    ...lines.map((line) => `            ${line}`),
    `            proxy_redirect / ${path};`,
    `            proxy_cookie_path / ${path};`,
    `            proxy_pass ${upstream}${uri};`,
    '        }',
  ];
}

const escapeRegExp = (text: string) => text.replace(/[.[\]]/g, '\\$&');
