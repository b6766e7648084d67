// One ComfyUI from a script. With a checkout: node embed.mjs /path/to/ComfyUI; without: a simulated one.
import { ComfyUIClient, ComfyUIService } from '@mgpu/comfyui';
import { comfyuiProgram } from '@mgpu/simulator';

const engine = process.argv[2] ? { dir: process.argv[2] } : { command: ['node', comfyuiProgram()], cpu: true };
const comfyui = new ComfyUIService({ gpu: 0, port: 8188, ...engine });
await comfyui.start(); // resolves when it answers; Ctrl-C takes it along
const client = new ComfyUIClient(comfyui.endpoint);
console.log((await client.systemStats()).system.comfyui_version);
await Promise.all([client.close(), comfyui.stop()]);
