/** Kinds of values in a GGUF file (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). */
const types = { u32: 4, i32: 5, f32: 6, string: 8, array: 9 } as const;

type Value =
  | { readonly type: 'u32'; readonly value: number }
  | { readonly type: 'f32'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'array'; readonly of: 'string' | 'f32' | 'i32'; readonly value: readonly (string | number)[] };

const u32 = (value: number): Value => ({ type: 'u32', value });
const f32 = (value: number): Value => ({ type: 'f32', value });
const text = (value: string): Value => ({ type: 'string', value });
const list = (of: 'string' | 'f32' | 'i32', value: readonly (string | number)[]): Value => ({
  type: 'array',
  of,
  value,
});

const [width, hidden, heads, context, alignment] = [64, 128, 2, 256, 32];

/** A Llama of one layer with made-up weights, whole enough to be loaded and asked: it answers nonsense, always the same. */
export function tinyModel(): Buffer {
  // Three tokens that have a meaning, one for each byte, and some of one letter.
  const bytes = Array.from({ length: 256 }, (_, at) => `<0x${at.toString(16).toUpperCase().padStart(2, '0')}>`);
  const letters = ['▁', ...'abcdefghijklmnopqrstuvwxyz'];
  const tokens = ['<unk>', '<s>', '</s>', ...bytes, ...letters];
  const kinds = [2, 3, 3, ...bytes.map(() => 6), ...letters.map(() => 1)];
  const metadata: Record<string, Value> = {
    'general.architecture': text('llama'),
    'general.name': text('tiny'),
    'general.file_type': u32(0),
    'general.alignment': u32(alignment),
    'llama.context_length': u32(context),
    'llama.embedding_length': u32(width),
    'llama.block_count': u32(1),
    'llama.feed_forward_length': u32(hidden),
    'llama.attention.head_count': u32(heads),
    'llama.attention.head_count_kv': u32(heads),
    'llama.attention.layer_norm_rms_epsilon': f32(1e-5),
    'llama.rope.dimension_count': u32(width / heads),
    'llama.vocab_size': u32(tokens.length),
    'tokenizer.ggml.model': text('llama'),
    'tokenizer.ggml.tokens': list('string', tokens),
    'tokenizer.ggml.scores': list(
      'f32',
      tokens.map((_, at) => -at),
    ),
    'tokenizer.ggml.token_type': list('i32', kinds),
    'tokenizer.ggml.unknown_token_id': u32(0),
    'tokenizer.ggml.bos_token_id': u32(1),
    'tokenizer.ggml.eos_token_id': u32(2),
  };
  const tensors: [string, readonly number[]][] = [
    ['token_embd.weight', [width, tokens.length]],
    ['blk.0.attn_norm.weight', [width]],
    ['blk.0.attn_q.weight', [width, width]],
    ['blk.0.attn_k.weight', [width, width]],
    ['blk.0.attn_v.weight', [width, width]],
    ['blk.0.attn_output.weight', [width, width]],
    ['blk.0.ffn_norm.weight', [width]],
    ['blk.0.ffn_gate.weight', [width, hidden]],
    ['blk.0.ffn_up.weight', [width, hidden]],
    ['blk.0.ffn_down.weight', [hidden, width]],
    ['output_norm.weight', [width]],
    ['output.weight', [width, tokens.length]],
  ];
  return writeGguf(metadata, tensors);
}

function writeGguf(metadata: Readonly<Record<string, Value>>, tensors: readonly [string, readonly number[]][]): Buffer {
  const head: Buffer[] = [Buffer.from('GGUF'), uint32(3), uint64(tensors.length), uint64(Object.keys(metadata).length)];
  for (const [key, value] of Object.entries(metadata)) head.push(string(key), uint32(types[value.type]), encode(value));
  const data: Buffer[] = [];
  let offset = 0;
  for (const [name, shape] of tensors) {
    head.push(string(name), uint32(shape.length), ...shape.map(uint64), uint32(0), uint64(offset));
    const weights = pad(weightsOf(name, shape));
    data.push(weights);
    offset += weights.length;
  }
  return Buffer.concat([pad(Buffer.concat(head)), ...data]);
}

/** Norms are one; all else is small and looks random. */
function weightsOf(name: string, shape: readonly number[]): Buffer {
  const count = shape.reduce((product, each) => product * each, 1);
  const values = new Float32Array(count);
  for (let at = 0; at < count; at++)
    values[at] = name.includes('norm') ? 1 : Math.sin(at * 12.9898 + name.length) * 0.2;
  return Buffer.from(values.buffer);
}

const pad = (bytes: Buffer) =>
  Buffer.concat([bytes, Buffer.alloc((alignment - (bytes.length % alignment)) % alignment)]);

function encode(value: Value): Buffer {
  if (value.type === 'u32') return uint32(value.value);
  if (value.type === 'f32') return float32(value.value);
  if (value.type === 'string') return string(value.value);
  const items = value.value.map((each) => {
    if (typeof each === 'string') return string(each);
    return value.of === 'f32' ? float32(each) : uint32(each);
  });
  return Buffer.concat([uint32(types[value.of]), uint64(items.length), ...items]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function float32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

const string = (value: string) => Buffer.concat([uint64(Buffer.byteLength(value)), Buffer.from(value)]);
