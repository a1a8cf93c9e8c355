import type { ASTNode, SourceLocation } from 'graphql';

/** A node's place in the text, read from its first token; `getLocation` would scan the whole text for it. */
export function locationOf({ loc }: ASTNode): SourceLocation {
  return { line: loc?.startToken.line ?? 1, column: loc?.startToken.column ?? 1 };
}
