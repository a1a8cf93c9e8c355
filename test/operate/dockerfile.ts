import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import dockerignore from '@balena/dockerignore';
import { Copy, DockerfileParser, From, type Instruction } from 'dockerfile-ast';

const REPOSITORY = fileURLToPath(new URL('../../', import.meta.url));

export const DOCKERFILE = readFileSync(join(REPOSITORY, 'Dockerfile'), 'utf8');

const ignored = dockerignore
  .default()
  .add(readFileSync(join(REPOSITORY, '.dockerignore'), 'utf8').split('\n'));

/** The result of a stage. */
interface Stage {
  /** The image that it is finally based on. */
  readonly image: string;
  /** Its file system on this machine, without the files of the base image. */
  readonly root: string;
  readonly workdir: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly user: string | undefined;
  readonly ports: readonly string[];
  readonly command: readonly string[] | undefined;
  readonly healthcheck: readonly string[] | undefined;
  /** The files that each RUN could see before it ran, by command: while none of them changes, it need not run again. */
  readonly inputs: ReadonlyMap<string, readonly string[]>;
}

export interface Build {
  readonly final: Stage;
  readonly stages: readonly Stage[];
  /** Files of the repository that were copied into any stage. */
  readonly context: ReadonlySet<string>;
}

/** Whether this file of the repository is part of the build context. */
export function isInContext(path: string): boolean {
  return !ignored.ignores(path);
}

/**
 * Executes the Dockerfile in a directory, with this machine's Node in place of the images: as far as possible without a
 * container engine. It supports the instructions that we use and rejects all others.
 */
export function build(folder: string): Build {
  const dockerfile = DockerfileParser.parse(DOCKERFILE);
  const context = new Set<string>();
  const stages: Stage[] = [];
  const byName = new Map<string, Stage>();

  for (const instruction of dockerfile.getInstructions()) {
    if (instruction.getKeyword() === 'ARG' && stages.length === 0) continue;
    if (instruction instanceof From) {
      const root = join(folder, String(stages.length));
      const base = byName.get(instruction.getImage() as string);
      mkdirSync(root);
      if (base !== undefined) cpSync(base.root, root, { recursive: true });
      const image = base?.image ?? String(instruction.getExpandedArguments()[0]);
      const stage = { ...(base ?? emptyStage()), image, root };
      stages.push(stage);
      byName.set(instruction.getBuildStage() ?? '', stage);
    } else {
      const stage = stages.at(-1) as Stage;
      Object.assign(stage, apply(instruction, stage));
    }
  }
  return { final: stages.at(-1) as Stage, stages, context };

  /** What an instruction changes in a stage, other than files. */
  function apply(instruction: Instruction, stage: Stage): Partial<Stage> {
    if (instruction instanceof Copy) {
      copy(instruction, stage);
      return {};
    }
    const words = instruction.getArguments().map(String);
    const content = instruction.getArgumentsContent() ?? '';
    switch (instruction.getKeyword()) {
      case 'WORKDIR': {
        const workdir = posix.resolve(stage.workdir, words[0] as string);
        mkdirSync(join(stage.root, workdir), { recursive: true });
        return { workdir };
      }
      case 'ENV':
        return { environment: { ...stage.environment, ...Object.fromEntries(words.map(assignment)) } };
      case 'LABEL':
        return {};
      case 'USER':
        return { user: words[0] };
      case 'EXPOSE':
        return { ports: [...stage.ports, ...words] };
      case 'CMD':
        return { command: execForm(content) };
      case 'HEALTHCHECK':
        return { healthcheck: execForm(content.slice(content.indexOf('CMD') + 'CMD'.length)) };
      case 'RUN':
        return run(content.replace(/^(?:--\S+\s+)+/, ''), stage);
      default:
        throw new Error(`do not know how to carry out ${instruction.getKeyword()}`);
    }
  }

  function copy(instruction: Copy, stage: Stage): void {
    const paths = instruction.getArguments().map(String);
    const target = paths.pop() as string;
    const name = instruction.getFromFlag()?.getValue();
    const from = name == null ? undefined : byName.get(name);
    if (name != null && from === undefined) throw new Error(`there is no stage ${name}`);
    for (const path of paths) {
      const source = from === undefined ? join(REPOSITORY, path) : join(from.root, path);
      const to = posix.resolve(stage.workdir, target);
      const destination = join(stage.root, to);
      if (!existsSync(source)) throw new Error(`${path} is not there to be copied`);
      const isFolder = statSync(source).isDirectory();
      if (from !== undefined) {
        // Hard links, because nothing changes a file of an earlier stage in place and copying them all takes seconds.
        execFileSync('cp', ['-al', isFolder ? join(source, '.') : source, destination]);
        continue;
      }
      const files = (isFolder ? filesIn(source) : ['']).filter((file) => isInContext(posix.join(path, file)));
      if (files.length === 0) throw new Error(`.dockerignore keeps ${path} from being copied`);
      for (const file of files) {
        context.add(posix.join(path, file));
        // As in a real build: the contents of a directory, but a file itself.
        const place = isFolder
          ? join(destination, file)
          : target.endsWith('/')
            ? join(destination, posix.basename(path))
            : destination;
        mkdirSync(dirname(place), { recursive: true });
        cpSync(join(source, file), place);
      }
    }
  }

  function run(command: string, stage: Stage): Partial<Stage> {
    const cwd = join(stage.root, stage.workdir);
    const inputs = new Map(stage.inputs).set(command, filesIn(cwd));
    if (command === 'npm ci' && isInstalledHere()) {
      symlinkSync(join(REPOSITORY, 'node_modules'), join(cwd, 'node_modules'));
    } else {
      execFileSync('/bin/sh', ['-c', command], {
        cwd,
        env: { ...withoutOurOwn(process.env), ...stage.environment },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
    }
    return { inputs };
  }
}

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version?: string; readonly optional?: boolean }>>;
}

/** Whether all that `npm ci` would install is installed in this repository, which is usually the case. */
function isInstalledHere(): boolean {
  const { packages } = readJson('package-lock.json') as Lock;
  return Object.entries(packages).every(([path, { version, optional }]) => {
    const manifest = posix.join(path, 'package.json');
    if (!existsSync(join(REPOSITORY, manifest))) return optional === true;
    return path === '' || (readJson(manifest) as { readonly version: string }).version === version;
  });
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(join(REPOSITORY, path), 'utf8'));
}

function emptyStage(): Omit<Stage, 'image' | 'root'> {
  return {
    workdir: '/',
    environment: {},
    user: undefined,
    ports: [],
    command: undefined,
    healthcheck: undefined,
    inputs: new Map(),
  };
}

function assignment(word: string): [string, string] {
  const [name, ...value] = word.split('=');
  return [name as string, value.join('=')];
}

/** The shell form would start a shell, which does not forward signals. */
function execForm(content: string): string[] {
  return JSON.parse(content) as string[];
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}

/** Removes what the test runner and npm have added to the environment. */
function withoutOurOwn(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const isOurs = /^(?:NODE_ENV|NODE_OPTIONS|VITEST.*|npm_(?:package|lifecycle)_.*|npm_config_local_prefix)$/;
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !isOurs.test(name)));
}
