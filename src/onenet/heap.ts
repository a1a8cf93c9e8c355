/** What a heap holds knows its place in there, so that it can be found without a search. */
export interface HeapItem {
  position: number;
}

export interface Heap<Item extends HeapItem> {
  /** The one that comes before all others. */
  readonly first: Item | undefined;
  add(item: Item): void;
  remove(item: Item): void;
  /** To be called when what decides the order of this item has changed. */
  update(item: Item): void;
}

/** A binary heap: everything costs at most the logarithm of how much there is. */
export function createHeap<Item extends HeapItem>(isBefore: (a: Item, b: Item) => boolean): Heap<Item> {
  const items: Item[] = [];

  function place(item: Item, position: number): void {
    items[position] = item;
    item.position = position;
  }

  function update(item: Item): void {
    let { position } = item;
    while (position > 0) {
      const parent = (position - 1) >> 1;
      if (!isBefore(item, items[parent] as Item)) break;
      place(items[parent] as Item, position);
      position = parent;
    }
    for (let child; (child = firstChild(position)) !== undefined && isBefore(child, item);) {
      const next = child.position;
      place(child, position);
      position = next;
    }
    place(item, position);
  }

  function firstChild(position: number): Item | undefined {
    const left = items[2 * position + 1];
    const right = items[2 * position + 2];
    return left !== undefined && right !== undefined && isBefore(right, left) ? right : left;
  }

  return {
    get first() {
      return items[0];
    },
    add(item) {
      place(item, items.length);
      update(item);
    },
    remove(item) {
      const last = items.pop() as Item;
      if (last === item) return;
      place(last, item.position);
      update(last);
    },
    update,
  };
}
