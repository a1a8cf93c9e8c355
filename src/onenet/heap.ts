/** An item stores its own position in the heap, so it can be removed or updated without a search. */
export interface HeapItem {
  position: number;
}

export interface Heap<Item extends HeapItem> {
  /** The item that comes before all others. */
  readonly first: Item | undefined;
  add(item: Item): void;
  remove(item: Item): void;
  /** Must be called after a change that affects the item's order. */
  update(item: Item): void;
}

/** A binary heap: every operation takes at most logarithmic time. */
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
