// Java channels over a unix socket: a server with a selector, clients that ask it in turn.
// needs: java javac
// build: javac -d {bin} {src}
// run: java -cp {bin} UnixChannels
// progress: 3
// answer: total 4950000
import java.net.*;
import java.nio.*;
import java.nio.channels.*;
import java.nio.file.*;

public class UnixChannels {
    static void answer(SocketChannel channel) throws Exception {
        ByteBuffer in = ByteBuffer.allocate(8);
        if (channel.read(in) < 0) {
            channel.close();
            return;
        }
        in.flip();
        ByteBuffer out = ByteBuffer.allocate(8);
        out.putLong(in.getLong() * 1000).flip();
        channel.write(out);
    }

    static void serve(ServerSocketChannel server) throws Exception {
        Selector selector = Selector.open();
        server.configureBlocking(false);
        server.register(selector, SelectionKey.OP_ACCEPT);
        for (;;) {
            selector.select();
            for (SelectionKey key : selector.selectedKeys()) {
                if (key.isAcceptable()) {
                    SocketChannel channel = server.accept();
                    channel.configureBlocking(false);
                    channel.register(selector, SelectionKey.OP_READ);
                } else {
                    answer((SocketChannel) key.channel());
                }
            }
            selector.selectedKeys().clear();
        }
    }

    static long ask(SocketChannel client, long n) throws Exception {
        ByteBuffer buffer = ByteBuffer.allocate(8);
        buffer.putLong(n).flip();
        client.write(buffer);
        buffer.clear();
        while (buffer.hasRemaining())
            if (client.read(buffer) < 0)
                throw new Exception("the connection has ended");
        return buffer.flip().getLong();
    }

    public static void main(String[] args) throws Exception {
        Path path = Path.of("service");
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        server.bind(UnixDomainSocketAddress.of(path));
        Thread thread = new Thread(() -> {
            try {
                serve(server);
            } catch (Exception e) {
                e.printStackTrace();
            }
        });
        thread.setDaemon(true);
        thread.start();
        SocketChannel[] clients = new SocketChannel[5];
        for (int i = 0; i < clients.length; i++)
            clients[i] = SocketChannel.open(UnixDomainSocketAddress.of(path));
        long total = 0;
        for (int n = 0; n < 100; n++) {
            total += ask(clients[n % clients.length], n);
            Thread.sleep(30);
            if (n % 5 == 4)
                System.out.println("asked " + n);
        }
        System.out.println("total " + total);
    }
}
