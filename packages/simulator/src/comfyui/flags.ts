import { type Flag, type ParsedFlags, parseFlags, usageOf } from '../python/argparse.ts';
import { LEVELS } from './log.ts';
import { isSince } from './version.ts';

interface VersionedFlag extends Flag {
  /** First version that knows the flag; without it, all do that are imitated. */
  readonly since?: string;
}

const switches = (text: string, rest: Partial<VersionedFlag> = {}): VersionedFlag[] =>
  text.split(' ').map((name) => ({ name: `--${name}`, arity: 'none', ...rest }));
const one = (name: string, value: string, rest: Partial<VersionedFlag> = {}): VersionedFlag => ({
  name: `--${name}`,
  arity: 'one',
  value,
  ...rest,
});

/** In the order of the usage text. */
const FLAGS: readonly VersionedFlag[] = [
  { name: '--listen', arity: 'optional', value: 'IP' },
  one('port', 'PORT', { type: 'int' }),
  one('tls-keyfile', 'TLS_KEYFILE'),
  one('tls-certfile', 'TLS_CERTFILE'),
  { name: '--enable-cors-header', arity: 'optional', value: 'ORIGIN' },
  one('max-upload-size', 'MAX_UPLOAD_SIZE', { type: 'float' }),
  one('base-directory', 'BASE_DIRECTORY'),
  { name: '--extra-model-paths-config', arity: 'many', value: 'PATH', append: true },
  one('output-directory', 'OUTPUT_DIRECTORY'),
  one('temp-directory', 'TEMP_DIRECTORY'),
  one('input-directory', 'INPUT_DIRECTORY'),
  ...switches('auto-launch disable-auto-launch'),
  one('cuda-device', 'DEVICE_ID'),
  one('default-device', 'DEFAULT_DEVICE_ID', { type: 'int', since: '0.3.46' }),
  ...switches('cuda-malloc disable-cuda-malloc', { group: 'malloc' }),
  ...switches('force-fp32 force-fp16', { group: 'precision' }),
  ...switches('fp32-unet fp64-unet bf16-unet fp16-unet fp8_e4m3fn-unet fp8_e5m2-unet fp8_e8m0fnu-unet', {
    group: 'unet',
  }),
  ...switches('fp16-vae fp32-vae bf16-vae', { group: 'vae' }),
  ...switches('cpu-vae'),
  ...switches('fp8_e4m3fn-text-enc fp8_e5m2-text-enc fp16-text-enc fp32-text-enc bf16-text-enc', { group: 'text-enc' }),
  ...switches('fp16-intermediates force-channels-last'),
  { name: '--directml', arity: 'optional', value: 'DIRECTML_DEVICE', type: 'int' },
  one('oneapi-device-selector', 'SELECTOR_STRING'),
  ...switches('supports-fp8-compute enable-triton-backend disable-triton-backend'),
  one('preview-method', '[none,auto,latent2rgb,taesd]', { choices: ['none', 'auto', 'latent2rgb', 'taesd'] }),
  one('preview-size', 'PREVIEW_SIZE', { type: 'int' }),
  { name: '--cache-ram', arity: 'any', value: 'GB', type: 'float', group: 'cache' },
  ...switches('cache-classic', { group: 'cache' }),
  one('cache-lru', 'CACHE_LRU', { type: 'int', group: 'cache' }),
  ...switches('cache-none high-ram', { group: 'cache' }),
  ...switches(
    'use-split-cross-attention use-quad-cross-attention use-pytorch-cross-attention use-sage-attention use-flash-attention use-ck-attention',
    { group: 'attention' },
  ),
  ...switches('disable-xformers'),
  ...switches('force-upcast-attention dont-upcast-attention', { group: 'upcast' }),
  ...switches('enable-manager', { since: '0.4.0' }),
  ...switches('disable-manager-ui enable-manager-legacy-ui', { group: 'manager-ui', since: '0.4.0' }),
  ...switches('gpu-only highvram normalvram lowvram novram cpu', { group: 'vram' }),
  one('reserve-vram', 'RESERVE_VRAM', { type: 'float' }),
  one('vram-headroom', 'VRAM_HEADROOM', { type: 'float' }),
  ...switches('disable-nvml-pressure'),
  { name: '--async-offload', arity: 'optional', value: 'NUM_STREAMS', type: 'int' },
  ...switches(
    'disable-async-offload disable-dynamic-vram enable-dynamic-vram fast-disk disable-cuda-graphs force-non-blocking',
  ),
  one('default-hashing-function', '{md5,sha1,sha256,sha512}', { choices: ['md5', 'sha1', 'sha256', 'sha512'] }),
  ...switches('disable-smart-memory deterministic'),
  { name: '--fast', arity: 'any', value: 'FAST' },
  ...switches('debug-hang disable-pinned-memory mmap-torch-files disable-mmap dont-print-server quick-test-for-ci'),
  ...switches('windows-standalone-build disable-metadata disable-all-custom-nodes'),
  { name: '--whitelist-custom-nodes', arity: 'many', value: 'WHITELIST_CUSTOM_NODES' },
  ...switches('disable-api-nodes'),
  ...switches('disable-partner-nodes offline', { since: '0.38.0' }),
  ...switches('multi-user'),
  { name: '--verbose', arity: 'optional', value: `{${LEVELS.join(',')}}`, choices: LEVELS },
  ...switches('log-stdout'),
  one('front-end-version', 'FRONT_END_VERSION'),
  one('front-end-root', 'FRONT_END_ROOT', { type: 'directory' }),
  one('user-directory', 'USER_DIRECTORY', { type: 'directory' }),
  one('models-directory', 'MODELS_DIRECTORY', { type: 'directory', since: '0.33.0' }),
  ...switches('enable-compress-response-body'),
  one('comfy-api-base', 'COMFY_API_BASE'),
  one('database-url', 'DATABASE_URL'),
  ...switches('enable-assets'),
  ...switches('disable-assets', { since: '0.38.0' }),
  ...switches('enable-asset-hashing'),
  one('feature-flag', 'KEY[=VALUE]', { append: true }),
  ...switches('list-feature-flags'),
];

/** The flags that a version of ComfyUI knows; which of them came when is followed as far as it is known. */
const flagsOf = (version: string): readonly Flag[] => FLAGS.filter(({ since }) => isSince(version, since ?? '0.0.0'));

/** Reads ComfyUI's command line with the flags of a version. */
export const parseArguments = (tokens: readonly string[], version: string): ParsedFlags =>
  parseFlags(tokens, flagsOf(version));

/** ComfyUI's usage text. */
export const usage = (version: string): string => usageOf('main.py', flagsOf(version));
