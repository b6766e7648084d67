import type { Flag } from '../python/argparse.ts';

const switches = (text: string): Flag[] => text.split(/\s+/).map((name) => ({ name: `--${name}`, arity: 'none' }));
const values = (text: string, rest: Partial<Flag> = {}): Flag[] =>
  text.split(/\s+/).map((name) => ({
    name: `--${name}`,
    arity: 'one',
    value: name.toUpperCase().replaceAll('-', '_'),
    ...rest,
  }));

/** What `modules/cmd_args.py` of 1.10 declares, with the flags that the built-in Lora extension adds. */
const common: readonly Flag[] = [
  { name: '-f', arity: 'none' },
  ...switches(`update-all-extensions skip-python-version-check skip-torch-cuda-test reinstall-xformers reinstall-torch
    update-check test-server log-startup skip-prepare-environment skip-install dump-sysinfo do-not-download-clip no-half
    no-half-vae no-progressbar-hiding allow-code medvram medvram-sdxl lowvram lowram always-batch-cond-uncond unload-gfpgan
    upcast-sampling share enable-insecure-extension-access xformers force-enable-xformers xformers-flash-attention
    deepdanbooru opt-split-attention opt-sub-quad-attention opt-split-attention-invokeai opt-split-attention-v1
    opt-sdp-attention opt-sdp-no-mem-attention disable-opt-split-attention disable-nan-check use-ipex
    disable-model-loading-ram-optimization listen show-negative-prompt hide-ui-dir-config freeze-settings gradio-debug
    opt-channelslast autolaunch use-textbox-seed disable-console-progressbars enable-console-prompts disable-safe-unpickle
    api api-log nowebui ui-debug-mode administrator disable-tls-verify no-gradio-queue skip-version-check no-hashing
    no-download-sd-model add-stop-route api-server-stop disable-all-extensions disable-extra-extensions
    skip-load-model-at-start unix-filenames-sanitization exit`),
  ...values(`loglevel data-dir models-dir config ckpt ckpt-dir vae-dir gfpgan-dir gfpgan-model embeddings-dir
    textual-inversion-templates-dir hypernetwork-dir localizations-dir ngrok ngrok-region ngrok-options
    codeformer-models-path gfpgan-models-path esrgan-models-path bsrgan-models-path realesrgan-models-path dat-models-path
    clip-models-path ui-config-file freeze-settings-in-sections freeze-specific-settings ui-settings-file gradio-auth
    gradio-auth-path gradio-img2img-tool gradio-inpaint-tool theme vae-path api-auth device-id cors-allow-origins
    cors-allow-origins-regex tls-keyfile tls-certfile server-name subpath lora-dir lyco-dir-backcompat`),
  ...values('gradio-allowed-path styles-file', { append: true }),
  ...values(
    `port max-batch-count sub-quad-q-chunk-size sub-quad-kv-chunk-size sub-quad-chunk-threshold timeout-keep-alive
    filenames-max-length`,
    { type: 'int' },
  ),
  ...values('precision', { choices: ['full', 'half', 'autocast'] }),
  { name: '--use-cpu', arity: 'many', value: 'USE_CPU' },
];

const ofForge: readonly Flag[] = [
  ...switches(`always-cpu always-gpu always-high-vram always-normal-vram always-low-vram always-no-vram cuda-malloc
    cuda-stream pin-shared-memory skip-google-blockly`),
  ...values('text-encoder-dir'),
  ...values('gpu-device-id', { type: 'int' }),
];

export const flagsOf = (flavour: 'webui' | 'forge'): readonly Flag[] =>
  flavour === 'forge' ? [...common, ...ofForge] : common;
