import { extname, join, relative } from 'node:path';
import { stringify } from 'yaml';
import type { ExportedFile } from './exported-file.ts';
import type { Installation } from './installation.ts';

/** The Node that this repository is tried with. A test compares it with the pin. */
const nodeVersion = '24.21.0';
const baseImage = 'debian:12.12-slim';
/** Where the machine's root is in the container. */
const root = '/workspace';
const prefix = '/opt/mgpu';

/**
 * A Dockerfile, what it leaves out of its context, and a compose file, for a folder. From a checkout the image is built of
 * that, else of the same version from npm.
 */
export function dockerFiles(installation: Installation, folder: string): readonly ExportedFile[] {
  return [
    { name: 'Dockerfile', content: dockerfile(installation) },
    // Docker takes this one before a .dockerignore of the context.
    { name: 'Dockerfile.dockerignore', content: ignored },
    { name: 'compose.yaml', content: compose(installation, folder) },
  ];
}

const ignored = `# Neither what is built anew, nor what has secrets in it, gets into the build.
.git
**/node_modules
**/dist
**/.turbo
**/.env*
**/*.env
**/mgpu.config.*
`;

const fromNpm = (version: string) => `ARG MGPU_VERSION=${version}
RUN npm install --global --prefix ${prefix} --omit=dev --no-audit --no-fund "@mgpu/machine@\${MGPU_VERSION}"`;

const fromCheckout = `WORKDIR /src
COPY . .
RUN npm ci --no-audit --no-fund && npm run build \\
  && mkdir /packages && npm pack --workspace packages --workspace apps --pack-destination /packages \\
  && npm install --global --prefix ${prefix} --omit=dev --no-audit --no-fund /packages/*.tgz`;

const dockerfile = ({ checkout, ports, version }: Installation) => `# syntax=docker/dockerfile:1
# Written by \`mgpu export docker\`. Arguments: --build-arg NAME=value.
#
# With torch, CUDA comes from the wheels and the driver from the host, through the NVIDIA Container Toolkit: the base needs
# neither. It is to be a Debian or Ubuntu whose Python fits the engines (Automatic1111: 3.10 or 3.11).
ARG NODE_IMAGE=node:${nodeVersion}-bookworm-slim
ARG BASE_IMAGE=${baseImage}

FROM \${NODE_IMAGE} AS mgpu
${checkout === undefined ? fromNpm(version) : fromCheckout}

FROM \${BASE_IMAGE}
# With 0 all runs as root; with another one, engines and daemon are that user's, and the volume is, too.
ARG MGPU_UID=0
ARG MGPU_GID=0
ARG EXTRA_PACKAGES=""
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# Compilers and headers: some custom nodes have packages without wheels. libgl1, libglib2.0-0: OpenCV. tini: process 1, which
# collects what engines leave behind and hands signals on.
RUN apt-get update \\
  && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \\
    build-essential ca-certificates git libgl1 libglib2.0-0 libgoogle-perftools4 nginx-light openssh-client procps \\
    python3 python3-dev python3-pip python3-venv redis-server tini util-linux \${EXTRA_PACKAGES} \\
  && rm -rf /var/lib/apt/lists/*
COPY --from=mgpu /usr/local/bin/node /usr/local/bin/node
COPY --from=mgpu ${prefix} ${prefix}
RUN if [ "\${MGPU_UID}" != 0 ]; then \\
    groupadd --gid "\${MGPU_GID}" --non-unique mgpu; \\
    useradd --uid "\${MGPU_UID}" --gid "\${MGPU_GID}" --create-home mgpu; \\
  fi \\
  && install -d -o "\${MGPU_UID}" -g "\${MGPU_GID}" ${root}
ENV PATH=${prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
  ROOT=${root} \\
  NVIDIA_VISIBLE_DEVICES=all \\
  NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER \${MGPU_UID}:\${MGPU_GID}
WORKDIR ${root}
# Models, environments and outputs outlive the container.
VOLUME ["${root}"]
${ports.length === 0 ? '' : `EXPOSE ${ports.join(' ')}\n`}STOPSIGNAL SIGTERM
# Exit code 0 as soon as the daemon answers; a boot that failed ends the container.
HEALTHCHECK --interval=30s --timeout=15s --start-period=60s --retries=3 CMD ["mgpu", "status"]
ENTRYPOINT ["tini", "--", "mgpu"]
CMD ["up"]
`;

function compose({ checkout, config, ports, stopSeconds, usesGpus, version }: Installation, folder: string): string {
  const target = `/etc/mgpu/mgpu.config${config === undefined ? '.yaml' : extname(config)}`;
  const gpus = { driver: 'nvidia', count: 'all', capabilities: ['gpu'] };
  const mgpu = {
    image: `mgpu:${checkout === undefined ? version : 'local'}`,
    build:
      checkout === undefined
        ? { context: '.' }
        : { context: relative(folder, checkout) || '.', dockerfile: join(relative(checkout, folder), 'Dockerfile') },
    command: ['--config', target, 'up'],
    configs: [{ source: 'mgpu', target }],
    // Values as they are: a password may have a dollar sign in it.
    env_file: [{ path: './mgpu.env', required: false, format: 'raw' }],
    ports: ports.map((port) => `127.0.0.1:${port}:${port}`),
    volumes: ['workspace:/workspace'],
    // Workers of torch hand tensors to each other there; Docker's default is 64 MB.
    shm_size: '8gb',
    ulimits: { nofile: 1_048_576, memlock: -1 },
    stop_grace_period: `${stopSeconds}s`,
    restart: 'unless-stopped',
    healthcheck: { test: ['CMD', 'mgpu', 'status'], interval: '30s', timeout: '15s', start_period: '60s', retries: 3 },
    logging: { driver: 'local' },
    ...(usesGpus ? { deploy: { resources: { reservations: { devices: [gpus] } } } } : {}),
  };
  const source = config === undefined ? { content: defaultConfig } : { file: config };
  const file = { name: 'mgpu', services: { mgpu }, configs: { mgpu: source }, volumes: { workspace: {} } };
  return `${composeHead}${stringify(file, { lineWidth: 0 })}`;
}

const composeHead = `# Written by \`mgpu export docker\`. Needs Docker Compose 2.30 or newer. Settings by environment variables, and secrets, go
# into mgpu.env beside this file.
`;

/** In a container loopback is the container's own: both have to be reached from outside of it. */
const defaultConfig = `# SERVER_CREDS in mgpu.env says who may come in: nginx does not listen beyond loopback without. The HTTP API asks for the
# token that "docker compose exec mgpu mgpu token" prints.
services:
  http: { host: 0.0.0.0 }
  nginx: { host: 0.0.0.0 }
`;
